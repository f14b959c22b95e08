-- Tables of WooCommerce 8 and later with its order tables (HPOS), and of WordPress what belongs to them: columns,
-- types, keys and defaults as both make them. {prefix} is wp_ by default. There are no foreign keys.
CREATE TABLE {prefix}options (
  option_id bigint(20) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, option_name varchar(191) NOT NULL DEFAULT '',
  option_value longtext NOT NULL, autoload varchar(20) NOT NULL DEFAULT 'yes',
  UNIQUE KEY option_name (option_name), KEY autoload (autoload)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;

CREATE TABLE {prefix}users (
  ID bigint(20) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, user_login varchar(60) NOT NULL DEFAULT '',
  user_pass varchar(255) NOT NULL DEFAULT '', user_nicename varchar(50) NOT NULL DEFAULT '',
  user_email varchar(100) NOT NULL DEFAULT '', user_url varchar(100) NOT NULL DEFAULT '',
  user_registered datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  user_activation_key varchar(255) NOT NULL DEFAULT '', user_status int(11) NOT NULL DEFAULT 0,
  display_name varchar(250) NOT NULL DEFAULT '',
  KEY user_login_key (user_login), KEY user_nicename (user_nicename), KEY user_email (user_email)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;

CREATE TABLE {prefix}wc_orders (
  id bigint(20) unsigned, status varchar(20), currency varchar(10), type varchar(20), tax_amount decimal(26,8),
  total_amount decimal(26,8), customer_id bigint(20) unsigned, billing_email varchar(320), date_created_gmt datetime,
  date_updated_gmt datetime, parent_order_id bigint(20) unsigned, payment_method varchar(100),
  payment_method_title text, transaction_id varchar(100), ip_address varchar(100), user_agent text, customer_note text,
  PRIMARY KEY (id), KEY status (status), KEY date_created (date_created_gmt),
  KEY customer_id_billing_email (customer_id, billing_email(171)), KEY billing_email (billing_email(191)),
  KEY type_status_date (type, status, date_created_gmt), KEY parent_order_id (parent_order_id),
  KEY date_updated (date_updated_gmt)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;

CREATE TABLE {prefix}wc_order_addresses (
  id bigint(20) unsigned AUTO_INCREMENT PRIMARY KEY, order_id bigint(20) unsigned NOT NULL, address_type varchar(20),
  first_name text, last_name text, company text, address_1 text, address_2 text, city text, state text, postcode text,
  country text, email varchar(320), phone varchar(100),
  KEY order_id (order_id), UNIQUE KEY address_type_order_id (address_type, order_id), KEY email (email(191)),
  KEY phone (phone)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;

CREATE TABLE {prefix}wc_order_operational_data (
  id bigint(20) unsigned AUTO_INCREMENT PRIMARY KEY, order_id bigint(20) unsigned, created_via varchar(100),
  woocommerce_version varchar(20), prices_include_tax tinyint(1), coupon_usages_are_counted tinyint(1),
  download_permission_granted tinyint(1), cart_hash varchar(100), new_order_email_sent tinyint(1),
  order_key varchar(100), order_stock_reduced tinyint(1), date_paid_gmt datetime, date_completed_gmt datetime,
  shipping_tax_amount decimal(26,8), shipping_total_amount decimal(26,8), discount_tax_amount decimal(26,8),
  discount_total_amount decimal(26,8), recorded_sales tinyint(1),
  UNIQUE KEY order_id (order_id), KEY order_key (order_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;

CREATE TABLE {prefix}wc_orders_meta (
  id bigint(20) unsigned AUTO_INCREMENT PRIMARY KEY, order_id bigint(20) unsigned, meta_key varchar(255),
  meta_value text, KEY meta_key_value (meta_key(100), meta_value(82)),
  KEY order_id_meta_key_meta_value (order_id, meta_key(100), meta_value(82))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;

CREATE TABLE {prefix}wc_order_product_lookup (
  order_item_id bigint unsigned NOT NULL, order_id bigint unsigned NOT NULL, product_id bigint unsigned NOT NULL,
  variation_id bigint unsigned NOT NULL, customer_id bigint unsigned,
  date_created datetime DEFAULT '0000-00-00 00:00:00' NOT NULL, product_qty int NOT NULL,
  product_net_revenue double DEFAULT 0 NOT NULL, product_gross_revenue double DEFAULT 0 NOT NULL,
  coupon_amount double DEFAULT 0 NOT NULL, tax_amount double DEFAULT 0 NOT NULL,
  shipping_amount double DEFAULT 0 NOT NULL, shipping_tax_amount double DEFAULT 0 NOT NULL,
  PRIMARY KEY (order_item_id), KEY order_id (order_id), KEY product_id (product_id), KEY customer_id (customer_id),
  KEY date_created (date_created)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;
