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
new_version = mlflow.register_model(model_uri, model_name).version
print(f"Registered {model_name} version {new_version}")

client.transition_model_version_stage(name=model_name, version=new_version, stage="Staging")
print("Transitioned to Staging")

staging_model = mlflow.pyfunc.load_model(f"models:/{model_name}/Staging")
staging_predictions = staging_model.predict(X_test)
staging_accuracy = accuracy_score(y_test, staging_predictions)
print(f"Staging model accuracy (validation): {staging_accuracy:.3f}")

if staging_accuracy >= REQUIRED_ACCURACY:
    # One call: the holder moves to Archived in the same transaction, so Production is never empty.
    client.transition_model_version_stage(
        name=model_name, version=new_version, stage="Production", archive_existing_versions=True
    )
    print(f"Promoted version {new_version} to Production!")
else:
    print(f"Staging accuracy {staging_accuracy:.3f} below threshold. Not promoting.")
