"""Register the model of the newest run as the next version."""

import modelyard as mlflow
from modelyard.tracking import MlflowClient

client = MlflowClient()

experiment = mlflow.get_experiment_by_name("Iris Classification")
newest = client.search_runs([experiment.experiment_id], "attributes.run_name = 'rf_v1'")[0]
run_id = newest.info.run_id
model_name = "iris_classifier"
model_uri = f"runs:/{run_id}/model"
model_version = mlflow.register_model(model_uri, model_name)
print(f"Registered {model_name} version {model_version.version}")
