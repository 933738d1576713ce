"""Roll back to the previous version in Production, and print the history."""

from modelyard.tracking import MlflowClient

client = MlflowClient()

version = client.rollback("iris_classifier", "Production", comment="a drill")
print(f"Back in Production: version {version.version}")
for event in client.history("iris_classifier"):
    print(event.sentence)
