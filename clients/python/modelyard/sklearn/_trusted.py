"""The types a skops file may hold, beyond those skops itself trusts.

This table is the loader's policy. A model folder's own list is never consulted: a file that could
name its own trusted types would trust anything.
"""

from __future__ import annotations

_SCORE = "a scoring function, called only while fitting"
_KERNEL = "a Gaussian process kernel: hyperparameters and numpy arithmetic in Python"
_SCORER = "a scorer of a search, called only by score(): a function and its arguments"
_OPTIMIZER = "training state of a perceptron in Python, not used to predict"
_CHECKED_TREE = "bounds of every array are checked before first use, see _checked"
_REQUEST = "names of the arguments of methods, read only while fitting"
_SEARCH = "an estimator that scikit-learn calls experimental; checked like the others"
_METRIC = "a distance without arrays of its own, so its state cannot point anywhere"

TRUSTED_TYPES: dict[str, str] = {
    "numpy.dtype": "the description of an array's elements, read by numpy without pickle",
    "functools.partial": "one call of `check_array`, see _checked; any other is refused",
    "numpy.mean": "an aggregate of arrays (FeatureAgglomeration)",
    "numpy.number": "the abstract type of numbers, for a choice of columns",
    "numpy.random.mtrand.RandomState": "a random number generator's numbers",
    "scipy.sparse._csr.csr_matrix": "indices of every sparse matrix are checked, see _checked",
    "scipy.sparse._csr.csr_array": "indices of every sparse matrix are checked, see _checked",
    "scipy.sparse._csc.csc_matrix": "indices of every sparse matrix are checked, see _checked",
    "scipy.sparse._csc.csc_array": "indices of every sparse matrix are checked, see _checked",
    "scipy.sparse._dia.dia_matrix": "indices of every sparse matrix are checked, see _checked",
    "scipy.sparse._dia.dia_array": "indices of every sparse matrix are checked, see _checked",
    "sklearn._loss.loss.HalfTweedieLoss": "a loss: one number and arithmetic",
    "sklearn._loss.loss.HalfTweedieLossIdentity": "a loss: one number and arithmetic",
    "sklearn.calibration._CalibratedClassifier": "calls a classifier and its calibrators in Python",
    "sklearn.calibration._SigmoidCalibration": "two numbers and a logistic curve",
    "sklearn.calibration._TemperatureScaling": "one number and a softmax",
    "sklearn.compose._column_transformer.make_column_selector": (
        "a choice of columns by name and type, called only while fitting"
    ),
    "sklearn.compose._column_transformer._RemainderColsList": "a list of column names",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _CHECKED_TREE,
    "sklearn.feature_selection._mutual_info.mutual_info_classif": _SCORE,
    "sklearn.feature_selection._mutual_info.mutual_info_regression": _SCORE,
    "sklearn.feature_selection._univariate_selection.chi2": _SCORE,
    "sklearn.feature_selection._univariate_selection.f_classif": _SCORE,
    "sklearn.feature_selection._univariate_selection.f_regression": _SCORE,
    "sklearn.feature_selection._univariate_selection.r_regression": _SCORE,
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace": (
        "kernel arithmetic in Python"
    ),
    "sklearn.gaussian_process.kernels.CompoundKernel": _KERNEL,
    "sklearn.gaussian_process.kernels.ConstantKernel": _KERNEL,
    "sklearn.gaussian_process.kernels.DotProduct": _KERNEL,
    "sklearn.gaussian_process.kernels.ExpSineSquared": _KERNEL,
    "sklearn.gaussian_process.kernels.Exponentiation": _KERNEL,
    "sklearn.gaussian_process.kernels.Matern": _KERNEL,
    "sklearn.gaussian_process.kernels.Product": _KERNEL,
    "sklearn.gaussian_process.kernels.RBF": _KERNEL,
    "sklearn.gaussian_process.kernels.RationalQuadratic": _KERNEL,
    "sklearn.gaussian_process.kernels.Sum": _KERNEL,
    "sklearn.gaussian_process.kernels.WhiteKernel": _KERNEL,
    "sklearn.metrics._dist_metrics.ChebyshevDistance64": _METRIC,
    "sklearn.metrics._dist_metrics.EuclideanDistance64": _METRIC,
    "sklearn.metrics._dist_metrics.ManhattanDistance64": _METRIC,
    "sklearn.metrics._dist_metrics.MinkowskiDistance64": _METRIC,
    "sklearn.metrics._scorer._CurveScorer": _SCORER,
    "sklearn.metrics._scorer._MultimetricScorer": _SCORER,
    "sklearn.metrics._scorer._PassthroughScorer": _SCORER,
    "sklearn.metrics._scorer._Scorer": _SCORER,
    "sklearn.metrics._classification.accuracy_score": _SCORE,
    "sklearn.metrics._classification.balanced_accuracy_score": _SCORE,
    "sklearn.metrics._classification.f1_score": _SCORE,
    "sklearn.metrics._classification.log_loss": _SCORE,
    "sklearn.metrics._classification.precision_score": _SCORE,
    "sklearn.metrics._classification.recall_score": _SCORE,
    "sklearn.metrics._ranking.roc_auc_score": _SCORE,
    "sklearn.metrics._regression.mean_absolute_error": _SCORE,
    "sklearn.metrics._regression.mean_squared_error": _SCORE,
    "sklearn.metrics._regression.r2_score": _SCORE,
    "sklearn.metrics._regression.root_mean_squared_error": _SCORE,
    "sklearn.model_selection._split.KFold": "how rows were split while fitting",
    "sklearn.model_selection._split.StratifiedKFold": "how rows were split while fitting",
    "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV": _SEARCH,
    "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV": _SEARCH,
    "sklearn.multiclass._ConstantPredictor": "one label and numpy's repetition of it",
    "sklearn.neighbors._ball_tree.BallTree": _CHECKED_TREE,
    "sklearn.neighbors._kd_tree.KDTree": _CHECKED_TREE,
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer": _OPTIMIZER,
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer": _OPTIMIZER,
    "sklearn.tree._tree.Tree": _CHECKED_TREE,
    "sklearn.utils.validation.check_array": "a check of an array, by boosting with categories",
    "sklearn.utils._metadata_requests.MetadataRequest": _REQUEST,
    "sklearn.utils._metadata_requests.MethodMetadataRequest": _REQUEST,
    "sklearn.utils._bunch.Bunch": "a dictionary whose keys are attributes too",
}
