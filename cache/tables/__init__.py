"""Tables as Arrow and Parquet: made of records, and records made of them."""
