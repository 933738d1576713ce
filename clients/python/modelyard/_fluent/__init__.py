"""The functions of `modelyard`, by resource. Importing them does not import grpc or protobuf."""
