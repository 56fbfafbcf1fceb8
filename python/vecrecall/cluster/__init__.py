"""Clusters of users and items: assignment, k-means, groups."""

from vecrecall.cluster._assign import Assignment, ClusterSums, assign, from_residuals, residuals
from vecrecall.cluster._elbow import Elbow, elbow
from vecrecall.cluster._kmeans import KMeans
from vecrecall.cluster._rule_groups import RuleGroups, rule_groups
from vecrecall.cluster._sklearn import ConvergenceWarning, NotFittedError
from vecrecall.cluster._user_groups import RefreshReport, UserGroups

__all__ = [
    "Assignment",
    "ClusterSums",
    "ConvergenceWarning",
    "Elbow",
    "KMeans",
    "NotFittedError",
    "RefreshReport",
    "RuleGroups",
    "UserGroups",
    "assign",
    "elbow",
    "from_residuals",
    "residuals",
    "rule_groups",
]
