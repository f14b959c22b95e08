"""`ltv-pipeline init`: looks at a database, says which table plays which role, and writes a commented shop.yaml."""
