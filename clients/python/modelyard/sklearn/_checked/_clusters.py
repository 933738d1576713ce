"""Clusters, mixtures, covariances and embeddings: distances to points or densities of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    boolean,
    either,
    floats,
    function,
    number,
    one_of,
    optional,
    part,
    plain,
    row,
    whole,
    wholes,
)
from modelyard.sklearn._checked._matrices import matrix, sparse
from modelyard.sklearn._checked._nearest import METRIC

_OUT: Mapping[str, Kind] = {"_n_features_out": whole(1)}
_NEIGHBOURS = part("sklearn.neighbors.NearestNeighbors")
_THREADS = whole(1, 257)


def _some_centres(owner: Owner) -> None:
    """Check that there is a centre: compiled code looks at the first without asking."""
    owner.require("cluster_centers_")
    if owner.attributes["cluster_centers_"].shape[0] < 1:
        raise Contradiction("has no centres")


_CENTRES: Mapping[str, Kind] = {
    "cluster_centers_": floats("clusters", "features"),
    "labels_": wholes(None),
    "inertia_": number,
    "n_iter_": number,
    "n_steps_": number,
    "_tol": number,
    "_n_init": number,
    "_algorithm": one_of("lloyd", "elkan"),
    "_n_threads": _THREADS,
    "_batch_size": number,
    "_init_size": number,
    "_counts": floats("clusters"),
    "_ewa_inertia": optional(number),
    "_ewa_inertia_min": optional(number),
    "_no_improvement": number,
    "_n_since_last_reassign": number,
    "_random_state": part("numpy.random.mtrand.RandomState"),
    **_OUT,
}
_K_MEANS = Entry(fitted=_CENTRES, further=_some_centres)
# Results of `fit`, which nothing of scikit-learn reads again.
_LABELS: Mapping[str, Kind] = dict.fromkeys(
    (
        *("labels_", "core_sample_indices_", "components_", "probabilities_", "children_"),
        *("distances_", "n_clusters_", "n_leaves_", "n_connected_components_", "ordering_"),
        *("core_distances_", "reachability_", "predecessor_", "cluster_hierarchy_", "rows_"),
        *("columns_", "row_labels_", "column_labels_", "affinity_matrix_"),
    ),
    plain,
)
_ONLY_FITTED = Entry(
    fitted={
        **_LABELS,
        "affinity_matrix_": matrix("rows", "rows"),
        "components_": matrix(None, None),
    }
)
_EMBEDDED = Entry(
    parameters={"metric": either(boolean, METRIC)},
    always=dict.fromkeys(("_init", "_metric", "_metric_mds"), plain),
    fitted={
        **dict.fromkeys(
            ("embedding_", "stress_", "dissimilarity_matrix_", "eigenvalues_", "n_iter_"), plain
        ),
        **dict.fromkeys(("learning_rate_", "kl_divergence_", "n_neighbors_", "gamma_"), plain),
        **dict.fromkeys(("_init", "_metric", "_metric_mds"), plain),
        "affinity_matrix_": either(floats("rows", "rows"), sparse("rows", "rows")),
        **_OUT,
    },
)


def _densities(value: Any, owner: Owner) -> None:
    """Accept the matrices of a mixture in the form that its parameter names.

    A missing one leaves a column of the answer as memory that holds something else.
    """
    of_form = {
        "full": floats("components", "features", "features"),
        "tied": floats("features", "features"),
        "diag": floats("components", "features"),
        "spherical": floats("components"),
    }
    of_form[owner.attributes["covariance_type"]](value, owner)


def _mixture(owner: Owner) -> None:
    owner.require("weights_", "means_", "precisions_cholesky_")


_MIXED: Mapping[str, Kind] = {
    "means_": floats("components", "features"),
    "weights_": floats("components"),
    "covariances_": _densities,
    "precisions_": _densities,
    "precisions_cholesky_": _densities,
    "n_iter_": number,
    "converged_": plain,
    "lower_bound_": plain,
    "lower_bounds_": plain,
    "weight_concentration_prior_": number,
    "weight_concentration_": either(
        floats("components"), row(floats("components"), floats("components"))
    ),
    "mean_precision_prior_": number,
    "mean_precision_": floats("components"),
    "mean_prior_": floats("features"),
    "degrees_of_freedom_prior_": number,
    "degrees_of_freedom_": either(number, floats("components")),
    "covariance_prior_": plain,
}
_COVARIANCE = Entry(
    always={"store_precision": plain},
    fitted={
        "location_": floats("features"),
        "covariance_": floats("features", "features"),
        "precision_": optional(floats("features", "features")),
        **dict.fromkeys(
            (
                *("shrinkage_", "costs_", "n_iter_", "alpha_", "cv_results_", "dist_", "support_"),
                *("raw_location_", "raw_covariance_", "raw_support_", "store_precision"),
            ),
            plain,
        ),
        "offset_": number,
    },
)

TABLE: Table = {
    "sklearn.cluster.KMeans": _K_MEANS,
    "sklearn.cluster.MiniBatchKMeans": _K_MEANS,
    "sklearn.cluster.MeanShift": Entry(
        fitted={
            "cluster_centers_": floats("clusters", "features"),
            "labels_": wholes(None),
            "n_iter_": number,
        },
        further=_some_centres,
    ),
    "sklearn.cluster.AffinityPropagation": Entry(
        fitted={
            "cluster_centers_": matrix("clusters", "features"),
            "cluster_centers_indices_": plain,
            "affinity_matrix_": floats("rows", "rows"),
            "labels_": wholes(None),
            "n_iter_": number,
        }
    ),
    **{
        f"sklearn.cluster.{name}": _ONLY_FITTED
        for name in (
            *("AgglomerativeClustering", "DBSCAN", "OPTICS", "SpectralBiclustering"),
            *("SpectralClustering", "SpectralCoclustering"),
        )
    },
    "sklearn.cluster.FeatureAgglomeration": Entry(
        parameters={"pooling_func": function("numpy.mean")},
        fitted={**_LABELS, "labels_": wholes("features", low=0, below="features"), **_OUT},
    ),
    "sklearn.mixture.GaussianMixture": Entry(fitted=_MIXED, further=_mixture),
    "sklearn.mixture.BayesianGaussianMixture": Entry(fitted=_MIXED, further=_mixture),
    **{
        f"sklearn.covariance.{name}": _COVARIANCE
        for name in (
            *("EllipticEnvelope", "EmpiricalCovariance", "GraphicalLasso", "GraphicalLassoCV"),
            *("LedoitWolf", "MinCovDet", "OAS", "ShrunkCovariance"),
        )
    },
    **{
        f"sklearn.manifold.{name}": _EMBEDDED
        for name in ("ClassicalMDS", "MDS", "SpectralEmbedding", "TSNE")
    },
    "sklearn.manifold.Isomap": Entry(
        fitted={
            "nbrs_": _NEIGHBOURS,
            "kernel_pca_": part("sklearn.decomposition.KernelPCA"),
            "dist_matrix_": floats("rows", "rows"),
            "embedding_": floats("rows", "components"),
            **_OUT,
        }
    ),
    "sklearn.manifold.LocallyLinearEmbedding": Entry(
        fitted={
            "nbrs_": _NEIGHBOURS,
            "embedding_": floats("rows", "components"),
            "reconstruction_error_": number,
            **_OUT,
        }
    ),
}
