"""Train a candidate, register, stage, validate and promote it. Can be run repeatedly."""

from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score, train_test_split

import modelyard as mlflow
import modelyard.sklearn
from modelyard.tracking import MlflowClient

REQUIRED_ACCURACY = 0.95

iris = load_iris()
X_train, X_test, y_train, y_test = train_test_split(
    iris.data, iris.target, test_size=0.2, random_state=42
)
mlflow.set_experiment("Iris Classification - Production Pipeline")
client = MlflowClient()

mlflow.start_run(run_name="rf_v2_candidate")
model = RandomForestClassifier(n_estimators=150, random_state=42)
model.fit(X_train, y_train)
test_accuracy = accuracy_score(y_test, model.predict(X_test))
cv_scores = cross_val_score(model, X_train, y_train, cv=5)
mlflow.log_param("n_estimators", 150)
mlflow.log_metric("test_accuracy", test_accuracy)
mlflow.log_metric("cv_mean_accuracy", cv_scores.mean())
mlflow.log_metric("cv_std_accuracy", cv_scores.std())
mlflow.sklearn.log_model(model, "model")
run_id = mlflow.active_run().info.run_id
mlflow.end_run()
print(f"Trained model. Test accuracy: {test_accuracy:.3f}")

model_uri = f"runs:/{run_id}/model"
model_name = "iris_classifier"
model_versions = client.search_model_versions(f"name='{model_name}'")
if not model_versions:
    version_info = mlflow.register_model(model_uri, model_name)
    new_version = version_info.version
else:
    # The registry assigns the number; this is only the expected one.
    new_version = max([int(v.version) for v in model_versions]) + 1
    version_info = mlflow.register_model(model_uri, model_name)
    new_version = version_info.version
print(f"Registered {model_name} version {new_version}")

client.transition_model_version_stage(name=model_name, version=new_version, stage="Staging")
print("Transitioned to Staging")

staging_model = mlflow.pyfunc.load_model(f"models:/{model_name}/Staging")
staging_predictions = staging_model.predict(X_test)
staging_accuracy = accuracy_score(y_test, staging_predictions)
print(f"Staging model accuracy (validation): {staging_accuracy:.3f}")

if staging_accuracy >= REQUIRED_ACCURACY:
    prod_versions = client.search_model_versions(
        f"name='{model_name}' and current_stage='Production'"
    )
    for pv in prod_versions:
        client.transition_model_version_stage(name=model_name, version=pv.version, stage="Archived")
    client.transition_model_version_stage(name=model_name, version=new_version, stage="Production")
    print(f"Promoted version {new_version} to Production!")
else:
    print(f"Staging accuracy {staging_accuracy:.3f} below threshold. Not promoting.")
