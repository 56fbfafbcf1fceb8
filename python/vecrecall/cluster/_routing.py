"""scikit-learn's metadata routing: which methods of an estimator ask for `sample_weight`."""

from typing import Any, TypeVar

_E = TypeVar("_E", bound="WeightRequests")


class WeightRequests:
    """Requests by method, kept where scikit-learn's `clone` looks for them."""

    _metadata_request: Any

    def get_metadata_routing(self) -> Any:
        """Return the requests, for scikit-learn's meta-estimators.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest
        """
        from sklearn.utils.metadata_routing import MetadataRequest, get_routing_for_object

        if hasattr(self, "_metadata_request"):
            return get_routing_for_object(self._metadata_request)
        requests = MetadataRequest(owner=self)
        for method in (requests.fit, requests.partial_fit, requests.score):
            method.add_request(param="sample_weight", alias=None)
        return requests

    def set_fit_request(self: _E, *, sample_weight: bool | str | None) -> _E:
        """Choose whether scikit-learn's meta-estimators pass `sample_weight` on to `fit`.

        Parameters
        ----------
        sample_weight : bool, str or None
            As for scikit-learn's estimators: True, False, another name that it has for the
            meta-estimator, or None, so that passing it is an error. Only with
            ``sklearn.set_config(enable_metadata_routing=True)``.

        Returns
        -------
        KMeans
            This model.
        """
        return self._request("fit", sample_weight)

    def set_partial_fit_request(self: _E, *, sample_weight: bool | str | None) -> _E:
        """Choose as `set_fit_request` does, for `partial_fit`."""
        return self._request("partial_fit", sample_weight)

    def set_score_request(self: _E, *, sample_weight: bool | str | None) -> _E:
        """Choose as `set_fit_request` does, for `score`."""
        return self._request("score", sample_weight)

    def _request(self: _E, method: str, alias: bool | str | None) -> _E:
        requests = self.get_metadata_routing()
        getattr(requests, method).add_request(param="sample_weight", alias=alias)
        self._metadata_request = requests
        return self
