"""Load the version in Production and predict."""

from sklearn.datasets import load_iris

import modelyard as mlflow
import modelyard.pyfunc

new_data = load_iris().data[:3]

model_uri = "models:/iris_classifier/Production"
model = mlflow.pyfunc.load_model(model_uri)
predictions = model.predict(new_data)
print(f"Predictions: {[int(p) for p in predictions]}")
