-- Tables of PrestaShop 8 around orders: columns, types, keys and defaults as its installer makes them. {prefix} is ps_
-- by default. PrestaShop works with an empty sql_mode: dates that are not known yet are zero dates.
CREATE TABLE {prefix}configuration (
  id_configuration int(10) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  id_shop_group int(11) unsigned DEFAULT NULL, id_shop int(11) unsigned DEFAULT NULL,
  name varchar(254) NOT NULL, value text, date_add datetime NOT NULL, date_upd datetime NOT NULL,
  KEY name (name), KEY id_shop (id_shop), KEY id_shop_group (id_shop_group)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE {prefix}currency (
  id_currency int(10) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(64) NOT NULL, iso_code varchar(3) NOT NULL DEFAULT '0', numeric_iso_code varchar(3),
  `precision` int(2) NOT NULL DEFAULT 6, conversion_rate decimal(13,6) NOT NULL,
  deleted tinyint(1) unsigned NOT NULL DEFAULT 0, active tinyint(1) unsigned NOT NULL DEFAULT 1,
  unofficial tinyint(1) unsigned NOT NULL DEFAULT 0, modified tinyint(1) unsigned NOT NULL DEFAULT 0,
  KEY currency_iso_code (iso_code)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE {prefix}customer (
  id_customer int(10) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  id_shop_group int(11) unsigned NOT NULL DEFAULT 1, id_shop int(11) unsigned NOT NULL DEFAULT 1,
  id_gender int(10) unsigned NOT NULL, id_default_group int(10) unsigned NOT NULL DEFAULT 1,
  id_lang int(10) unsigned, id_risk int(10) unsigned NOT NULL DEFAULT 1,
  company varchar(255), siret varchar(14), ape varchar(6),
  firstname varchar(255) NOT NULL, lastname varchar(255) NOT NULL, email varchar(255) NOT NULL,
  passwd varchar(255) NOT NULL, last_passwd_gen timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, birthday date,
  newsletter tinyint(1) unsigned NOT NULL DEFAULT 0, ip_registration_newsletter varchar(15),
  newsletter_date_add datetime, optin tinyint(1) unsigned NOT NULL DEFAULT 0, website varchar(128),
  outstanding_allow_amount decimal(20,6) NOT NULL DEFAULT 0, show_public_prices tinyint(1) unsigned NOT NULL DEFAULT 0,
  max_payment_days int(10) unsigned NOT NULL DEFAULT 60, secure_key varchar(32) NOT NULL DEFAULT '-1', note text,
  active tinyint(1) unsigned NOT NULL DEFAULT 0, is_guest tinyint(1) NOT NULL DEFAULT 0,
  deleted tinyint(1) NOT NULL DEFAULT 0, date_add datetime NOT NULL, date_upd datetime NOT NULL,
  reset_password_token varchar(40), reset_password_validity datetime,
  KEY customer_email (email), KEY id_gender (id_gender), KEY id_shop_group (id_shop_group),
  KEY id_shop (id_shop, date_add)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE {prefix}orders (
  id_order int(10) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, reference varchar(9),
  id_shop_group int(11) unsigned NOT NULL DEFAULT 1, id_shop int(11) unsigned NOT NULL DEFAULT 1,
  id_carrier int(10) unsigned NOT NULL, id_lang int(10) unsigned NOT NULL, id_customer int(10) unsigned NOT NULL,
  id_cart int(10) unsigned NOT NULL, id_currency int(10) unsigned NOT NULL,
  id_address_delivery int(10) unsigned NOT NULL, id_address_invoice int(10) unsigned NOT NULL,
  current_state int(10) unsigned NOT NULL, secure_key varchar(32) NOT NULL DEFAULT '-1',
  payment varchar(255) NOT NULL, conversion_rate decimal(13,6) NOT NULL DEFAULT 1, module varchar(255),
  recyclable tinyint(1) unsigned NOT NULL DEFAULT 0, gift tinyint(1) unsigned NOT NULL DEFAULT 0, gift_message text,
  mobile_theme tinyint(1) NOT NULL DEFAULT 0, shipping_number varchar(64),
  total_discounts decimal(20,6) NOT NULL DEFAULT 0, total_discounts_tax_incl decimal(20,6) NOT NULL DEFAULT 0,
  total_discounts_tax_excl decimal(20,6) NOT NULL DEFAULT 0, total_paid decimal(20,6) NOT NULL DEFAULT 0,
  total_paid_tax_incl decimal(20,6) NOT NULL DEFAULT 0, total_paid_tax_excl decimal(20,6) NOT NULL DEFAULT 0,
  total_paid_real decimal(20,6) NOT NULL DEFAULT 0, total_products decimal(20,6) NOT NULL DEFAULT 0,
  total_products_wt decimal(20,6) NOT NULL DEFAULT 0, total_shipping decimal(20,6) NOT NULL DEFAULT 0,
  total_shipping_tax_incl decimal(20,6) NOT NULL DEFAULT 0, total_shipping_tax_excl decimal(20,6) NOT NULL DEFAULT 0,
  carrier_tax_rate decimal(10,3) NOT NULL DEFAULT 0, total_wrapping decimal(20,6) NOT NULL DEFAULT 0,
  total_wrapping_tax_incl decimal(20,6) NOT NULL DEFAULT 0, total_wrapping_tax_excl decimal(20,6) NOT NULL DEFAULT 0,
  round_mode tinyint(1) NOT NULL DEFAULT 2, round_type tinyint(1) NOT NULL DEFAULT 1,
  invoice_number int(10) unsigned NOT NULL DEFAULT 0, delivery_number int(10) unsigned NOT NULL DEFAULT 0,
  invoice_date datetime NOT NULL, delivery_date datetime NOT NULL, valid int(1) unsigned NOT NULL DEFAULT 0,
  date_add datetime NOT NULL, date_upd datetime NOT NULL, note text,
  KEY reference (reference), KEY id_customer (id_customer), KEY id_cart (id_cart), KEY invoice_number (invoice_number),
  KEY id_carrier (id_carrier), KEY id_lang (id_lang), KEY id_currency (id_currency),
  KEY id_address_delivery (id_address_delivery), KEY id_address_invoice (id_address_invoice),
  KEY id_shop_group (id_shop_group), KEY current_state (current_state), KEY id_shop (id_shop),
  KEY date_add (date_add), KEY invoice_date (invoice_date)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE {prefix}order_detail (
  id_order_detail int(10) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, id_order int(10) unsigned NOT NULL,
  id_order_invoice int(11), id_warehouse int(10) unsigned DEFAULT 0, id_shop int(11) unsigned NOT NULL,
  product_id int(10) unsigned NOT NULL, product_attribute_id int(10) unsigned,
  id_customization int(10) unsigned DEFAULT 0, product_name text NOT NULL,
  product_quantity int(10) unsigned NOT NULL DEFAULT 0, product_quantity_in_stock int(10) NOT NULL DEFAULT 0,
  product_quantity_refunded int(10) unsigned NOT NULL DEFAULT 0,
  product_quantity_return int(10) unsigned NOT NULL DEFAULT 0,
  product_quantity_reinjected int(10) unsigned NOT NULL DEFAULT 0, product_price decimal(20,6) NOT NULL DEFAULT 0,
  reduction_percent decimal(5,2) NOT NULL DEFAULT 0, reduction_amount decimal(20,6) NOT NULL DEFAULT 0,
  reduction_amount_tax_incl decimal(20,6) NOT NULL DEFAULT 0,
  reduction_amount_tax_excl decimal(20,6) NOT NULL DEFAULT 0,
  group_reduction decimal(5,2) NOT NULL DEFAULT 0, product_quantity_discount decimal(20,6) NOT NULL DEFAULT 0,
  product_ean13 varchar(13), product_isbn varchar(32), product_upc varchar(12), product_mpn varchar(40),
  product_reference varchar(64), product_supplier_reference varchar(64), product_weight decimal(20,6) NOT NULL,
  id_tax_rules_group int(11) unsigned DEFAULT 0, tax_computation_method tinyint(1) unsigned NOT NULL DEFAULT 0,
  tax_name varchar(16) NOT NULL, tax_rate decimal(10,3) NOT NULL DEFAULT 0, ecotax decimal(17,6) NOT NULL DEFAULT 0,
  ecotax_tax_rate decimal(5,3) NOT NULL DEFAULT 0, discount_quantity_applied tinyint(1) NOT NULL DEFAULT 0,
  download_hash varchar(255), download_nb int(10) unsigned DEFAULT 0, download_deadline datetime,
  total_price_tax_incl decimal(20,6) NOT NULL DEFAULT 0, total_price_tax_excl decimal(20,6) NOT NULL DEFAULT 0,
  unit_price_tax_incl decimal(20,6) NOT NULL DEFAULT 0, unit_price_tax_excl decimal(20,6) NOT NULL DEFAULT 0,
  total_shipping_price_tax_incl decimal(20,6) NOT NULL DEFAULT 0,
  total_shipping_price_tax_excl decimal(20,6) NOT NULL DEFAULT 0,
  purchase_supplier_price decimal(20,6) NOT NULL DEFAULT 0, original_product_price decimal(20,6) NOT NULL DEFAULT 0,
  original_wholesale_price decimal(20,6) NOT NULL DEFAULT 0, total_refunded_tax_excl decimal(20,6) NOT NULL DEFAULT 0,
  total_refunded_tax_incl decimal(20,6) NOT NULL DEFAULT 0,
  KEY order_detail_order (id_order), KEY product_id (product_id, product_attribute_id),
  KEY product_attribute_id (product_attribute_id), KEY id_tax_rules_group (id_tax_rules_group),
  KEY id_order_id_order_detail (id_order, id_order_detail)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE {prefix}order_slip (
  id_order_slip int(10) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, conversion_rate decimal(13,6) NOT NULL DEFAULT 1,
  id_customer int(10) unsigned NOT NULL, id_order int(10) unsigned NOT NULL,
  total_products_tax_excl decimal(20,6), total_products_tax_incl decimal(20,6),
  total_shipping_tax_excl decimal(20,6), total_shipping_tax_incl decimal(20,6),
  shipping_cost tinyint(3) unsigned NOT NULL DEFAULT 0, amount decimal(20,6) NOT NULL DEFAULT 0,
  shipping_cost_amount decimal(20,6) NOT NULL DEFAULT 0, partial tinyint(1) NOT NULL,
  order_slip_type tinyint(1) unsigned NOT NULL DEFAULT 0, date_add datetime NOT NULL, date_upd datetime NOT NULL,
  KEY order_slip_customer (id_customer), KEY id_order (id_order)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE {prefix}order_payment (
  id_order_payment int NOT NULL AUTO_INCREMENT PRIMARY KEY, order_reference varchar(9),
  id_currency int unsigned NOT NULL, amount decimal(20,6) NOT NULL, payment_method varchar(255) NOT NULL,
  conversion_rate decimal(13,6) NOT NULL DEFAULT 1, transaction_id varchar(254), card_number varchar(254),
  card_brand varchar(254), card_expiration char(7), card_holder varchar(254), date_add datetime NOT NULL,
  id_employee int,
  KEY order_reference (order_reference)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE {prefix}order_state (
  id_order_state int(10) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, invoice tinyint(1) unsigned DEFAULT 0,
  send_email tinyint(1) unsigned NOT NULL DEFAULT 0, module_name varchar(255), color varchar(32),
  unremovable tinyint(1) unsigned NOT NULL, hidden tinyint(1) unsigned NOT NULL DEFAULT 0,
  logable tinyint(1) NOT NULL DEFAULT 0, delivery tinyint(1) unsigned NOT NULL DEFAULT 0,
  shipped tinyint(1) unsigned NOT NULL DEFAULT 0, paid tinyint(1) unsigned NOT NULL DEFAULT 0,
  pdf_invoice tinyint(1) unsigned NOT NULL DEFAULT 0, pdf_delivery tinyint(1) unsigned NOT NULL DEFAULT 0,
  deleted tinyint(1) unsigned NOT NULL DEFAULT 0, KEY module_name (module_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
