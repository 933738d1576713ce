"""Set the description and tags of a version."""

from modelyard.tracking import MlflowClient

client = MlflowClient()

client.update_model_version(
    name="iris_classifier",
    version=1,
    description="A forest of 100 trees, trained on four fifths of iris.",
)
client.set_model_version_tag(name="iris_classifier", version=1, key="team", value="data_science")
client.set_model_version_tag(
    name="iris_classifier", version=1, key="approved_by", value="ada@example.org"
)

version = client.get_model_version(name="iris_classifier", version=1)
print(f"Description: {version.description}")
print(f"Tags: {version.tags}")
