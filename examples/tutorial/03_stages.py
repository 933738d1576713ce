"""Move version 1 through the stages, out, and back."""

from modelyard.tracking import MlflowClient

client = MlflowClient()

client.transition_model_version_stage(name="iris_classifier", version=1, stage="Staging")
client.transition_model_version_stage(name="iris_classifier", version=1, stage="Production")
client.transition_model_version_stage(name="iris_classifier", version=1, stage="Archived")
# No other version has replaced it, so it can return; a manual rollback works the same way.
version = client.transition_model_version_stage(
    name="iris_classifier", version=1, stage="Production"
)
print(f"Version {version.version} is in {version.current_stage}")
