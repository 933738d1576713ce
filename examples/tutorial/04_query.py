"""Query the versions and their stages."""

from modelyard.tracking import MlflowClient

client = MlflowClient()
model_name = "iris_classifier"

versions = client.search_model_versions(f"name='{model_name}'")
for v in versions:
    print(f"Version {v.version}: {v.current_stage}")

prod_version = client.get_model_version(name="iris_classifier", version="production")
print(f"Production version: {prod_version.version}")
