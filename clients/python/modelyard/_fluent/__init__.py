"""The functions of `modelyard`, by noun. Importing them imports neither grpc nor protobuf."""
