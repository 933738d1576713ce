"""Decompositions and projections: products of the input with matrices of the model."""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Kind,
    boolean,
    either,
    finite,
    floats,
    none,
    number,
    one_of,
    optional,
    part,
    plain,
    text,
    whole,
    wholes,
)
from modelyard.sklearn._checked._matrices import matrix

# Names of functions of two rows whose implementations check widths.
KERNELS = one_of(
    *("additive_chi2", "chi2", "cosine", "laplacian", "linear", "poly", "polynomial"),
    *("precomputed", "rbf", "sigmoid"),
)
ITERATIONS = whole(1, 100_001)
"""Rounds of a computation that is repeated for each prediction."""

_OUT: Mapping[str, Kind] = {"_n_features_out": whole(1)}
_RANDOM = part("numpy.random.mtrand.RandomState")
_COMPONENTS: Mapping[str, Kind] = {
    "components_": floats("components", "features"),
    "n_components_": whole(1),
    "_n_components": whole(1),
    "mean_": floats("features"),
    "n_iter_": plain,
    "error_": plain,
    "n_steps_": number,
    **_OUT,
}
_VARIANCES: Mapping[str, Kind] = {
    **_COMPONENTS,
    "explained_variance_": floats("components"),
    "explained_variance_ratio_": floats("components"),
    "singular_values_": floats("components"),
    "noise_variance_": either(number, floats("features")),
    "n_samples_": number,
    "_fit_svd_solver": text,
    "n_samples_seen_": number,
    "var_": floats("features"),
    "batch_size_": whole(1),
}
_ONLINE: Mapping[str, Kind] = {
    "_batch_size": plain,
    "_ewa_cost": optional(number),
    "_ewa_cost_min": optional(number),
    "_no_improvement": number,
    "_random_state": _RANDOM,
}
_DICTIONARY = Entry(
    parameters={"transform_max_iter": ITERATIONS, "callback": none},
    fitted={
        **_COMPONENTS,
        "components_": finite("components", "features"),
        **_ONLINE,
        "_fit_algorithm": text,
        "_A": floats("components", "components"),
        "_B": floats("features", "components"),
    },
)
_SPARSE_COMPONENTS = Entry(parameters={"callback": none}, fitted=_COMPONENTS)
_FACTORS: Mapping[str, Kind] = {
    **_COMPONENTS,
    "_beta_loss": number,
    "reconstruction_err_": number,
}
_LATENT: Mapping[str, Kind] = {
    "_x_mean": floats("features"),
    "_x_std": floats("features"),
    "_y_mean": floats("targets"),
    "_y_std": floats("targets"),
    "x_weights_": floats("features", "components"),
    "y_weights_": floats("targets", "components"),
    **dict.fromkeys(("_x_scores", "_y_scores", "x_scores_", "y_scores_"), plain),
    "x_loadings_": floats("features", "components"),
    "y_loadings_": floats("targets", "components"),
    "x_rotations_": floats("features", "components"),
    "y_rotations_": floats("targets", "components"),
    "coef_": floats("targets", "features"),
    "intercept_": floats("targets"),
    "n_iter_": plain,
    "_predict_1d": boolean,
    **_OUT,
}
_PROJECTION = Entry(
    fitted={
        "n_components_": whole(1, sets="components"),
        "density_": number,
        "components_": matrix("components", "features"),
        "inverse_components_": floats("features", "components"),
        **_OUT,
    }
)
_RANDOM_FEATURES: Mapping[str, Kind] = {
    "random_weights_": floats("features", "components"),
    "random_offset_": floats("components"),
    "_gamma": number,
    **_OUT,
}

TABLE: Table = {
    "sklearn.decomposition.PCA": Entry(fitted=_VARIANCES),
    "sklearn.decomposition.IncrementalPCA": Entry(fitted=_VARIANCES),
    "sklearn.decomposition.TruncatedSVD": Entry(fitted=_VARIANCES),
    "sklearn.decomposition.FactorAnalysis": Entry(fitted={**_VARIANCES, "loglike_": plain}),
    "sklearn.decomposition.FastICA": Entry(
        parameters={"fun": one_of("logcosh", "exp", "cube")},
        fitted={
            **_COMPONENTS,
            "whitening_": floats("components", "features"),
            "mixing_": floats("features", "components"),
            "_unmixing": floats("components", "components"),
        },
    ),
    "sklearn.decomposition.SparsePCA": _SPARSE_COMPONENTS,
    "sklearn.decomposition.MiniBatchSparsePCA": _SPARSE_COMPONENTS,
    "sklearn.decomposition.DictionaryLearning": _DICTIONARY,
    "sklearn.decomposition.MiniBatchDictionaryLearning": _DICTIONARY,
    "sklearn.decomposition.SparseCoder": Entry(
        parameters={"dictionary": finite(None, None), "transform_max_iter": ITERATIONS},
        fitted={"n_components_": whole(1)},
        width=False,
    ),
    "sklearn.decomposition.NMF": Entry(parameters={"max_iter": ITERATIONS}, fitted=_FACTORS),
    "sklearn.decomposition.MiniBatchNMF": Entry(
        parameters={"max_iter": ITERATIONS, "transform_max_iter": optional(ITERATIONS)},
        fitted={
            **_FACTORS,
            **_ONLINE,
            "_rho": number,
            "_gamma": number,
            "_transform_max_iter": ITERATIONS,
            "_components_numerator": floats("components", "features"),
            "_components_denominator": floats("components", "features"),
        },
    ),
    "sklearn.decomposition.LatentDirichletAllocation": Entry(
        parameters={"max_doc_update_iter": ITERATIONS},
        fitted={
            **_COMPONENTS,
            "random_state_": _RANDOM,
            "n_batch_iter_": number,
            "doc_topic_prior_": number,
            "topic_word_prior_": number,
            "exp_dirichlet_component_": floats("components", "features"),
            "bound_": number,
        },
    ),
    "sklearn.neural_network.BernoulliRBM": Entry(
        fitted={
            **_COMPONENTS,
            "intercept_hidden_": floats("components"),
            "intercept_visible_": floats("features"),
            "h_samples_": floats(None, "components"),
            "random_state_": _RANDOM,
        }
    ),
    "sklearn.decomposition.KernelPCA": Entry(
        parameters={"kernel": KERNELS},
        fitted={
            "gamma_": optional(number),
            "_centerer": part("sklearn.preprocessing.KernelCenterer"),
            "X_fit_": matrix("rows", "features"),
            "eigenvalues_": floats("components"),
            "eigenvectors_": floats("rows", "components"),
            "dual_coef_": floats("rows", "features"),
            "X_transformed_fit_": floats("rows", "components"),
            **_OUT,
        },
    ),
    **{
        f"sklearn.cross_decomposition.{name}": Entry(
            always=dict.fromkeys(
                ("deflation_mode", "mode", "algorithm", "max_iter", "tol", "_norm_y_weights"), plain
            ),
            fitted=_LATENT,
        )
        for name in ("CCA", "PLSCanonical", "PLSRegression", "PLSSVD")
    },
    "sklearn.random_projection.GaussianRandomProjection": _PROJECTION,
    "sklearn.random_projection.SparseRandomProjection": _PROJECTION,
    "sklearn.kernel_approximation.AdditiveChi2Sampler": Entry(
        # The output is as many times as wide as the input.
        parameters={"sample_steps": whole(1, 101)},
        fitted={},
    ),
    "sklearn.kernel_approximation.Nystroem": Entry(
        parameters={"kernel": KERNELS},
        fitted={
            "components_": matrix("components", "features"),
            "normalization_": floats("components", "components"),
            "component_indices_": wholes(None),
            **_OUT,
        },
    ),
    "sklearn.kernel_approximation.PolynomialCountSketch": Entry(
        parameters={"degree": whole(1, 65)},
        fitted={
            "indexHash_": wholes("degrees", "features", low=0),
            "bitHash_": wholes("degrees", "features"),
            **_OUT,
        },
    ),
    "sklearn.kernel_approximation.RBFSampler": Entry(fitted=_RANDOM_FEATURES),
    "sklearn.kernel_approximation.SkewedChi2Sampler": Entry(fitted=_RANDOM_FEATURES),
}
