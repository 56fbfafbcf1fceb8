"""The keys of the data of ``vecrecall demo --full --json``."""

from vecrecall.cli.demo.evaluation import CUTOFFS
from vecrecall.cli.demo.full.data import COLD

_LAST = max(CUTOFFS)

_ACCURACY = {
    "hit_rate.<k>": "hit rate at k",
    "hit_rate_se.<k>": "its standard error over users",
    "recall.<k>": "recall at k",
    "recall_se.<k>": "its standard error over users",
    "over_popularity.<k>.mean": "recall at k less that of popularity, mean over the same users",
    "over_popularity.<k>.se": "its standard error",
    "over_popularity.<k>.z": "the mean in standard errors; 0 where no user differs",
}


def _accuracy(prefix: str) -> dict[str, str]:
    return {f"{prefix}.{key}": meaning for key, meaning in _ACCURACY.items()}


KEYS = {
    "data.source": "where the data are from",
    "data.interactions": "distinct (user, item) pairs of the users who are not cold",
    "data.repeats": "interactions left out because the user had the item before",
    "data.users": "users, all of them trained on",
    "data.users_evaluated": "users with held-out items",
    "data.users_too_short": "users with too few interactions to hold any out",
    "data.cold_users": f"further users: {COLD}",
    "data.items": "items of the training part: the catalog",
    "data.items_with_tags": "items with genres",
    "data.items_with_entity": "items with an entity of the knowledge graph",
    "data.tags": "distinct genres",
    "data.triples": "triples of the knowledge graph",
    "data.train_interactions": "interactions of the training part",
    "data.held_out_interactions": "interactions to be found",
    "data.held_out_unknown": "of these, on items outside the catalog, which no channel can find",
    "settings.seed": "--seed",
    "settings.tuned": "what was chosen on which data",
    "settings.cold": "how users without history were chosen",
    "settings.towers.<family>.<setting>": "the sizes of a two-tower model",
    "settings.plan.<setting>": "the sizes of the other trainings",
    "settings.plan.without[]": "families that are left out",
    "settings.plan.exported[]": "families whose user tower is exported",
    "settings.plan.weights[]": "weights of channels among which tuning chooses",
    "definitions.<metric>": "definitions of hit_rate and recall",
    "families.<family>.about": "description of the training",
    "families.<family>.dim": "numbers per vector",
    "families.<family>.items": "items with a vector",
    "families.<family>.losses[]": "by epoch",
    "families.<family>.validations[]": "by epoch, larger is better, where the trainer validates",
    "skipped.<family>": "why it was left out, and how to install what is missing",
    "channels.<channel>.about": "description of the channel",
    **_accuracy("channels.<channel>"),
    "channels.<channel>.coverage": f"share of the catalog in the first {_LAST} of any user's list",
    "channels.<channel>.adds.mean": f"recall at {_LAST} that the chosen merge loses without the "
    "channel, mean over users; missing for channels that are only compared",
    "channels.<channel>.adds.se": "its standard error",
    "channels.<channel>.adds.z": "the mean in standard errors",
    "groups.<grouping>.groups": "number of groups",
    "groups.<grouping>.smallest": "users of the smallest",
    "groups.<grouping>.largest": "users of the largest",
    "merges.<policy>.values.<channel>": "the channel's weight, as tuned",
    "merges.<policy>.tried": "number of sets of weights measured on the validation split",
    "merges.<policy>.validation.<metric>.<k>": "accuracy there",
    **_accuracy("merges.<policy>"),
    "merges.<policy>.coverage": f"share of the catalog in the first {_LAST} of any user's list",
    "best_merge": "the policy that is best on the validation split",
    "overlap.<channel>.<channel>": f"the share of the first {_LAST} of the former that are also in "
    "the latter's",
    "cold.<channel>.about": "a channel for users without history",
    **_accuracy("cold.<channel>"),
    "targets.learned_over_popularity.standard_errors.<channel>": "by how much a learned channel "
    f"user to item is better than popularity, in recall at {_LAST}",
    "targets.learned_over_popularity.wanted": "by how much it shall be",
    "targets.learned_over_popularity.reached": "whether all are",
    "targets.merge_over_light.best_light": "the best of the light demo's channels on this split",
    "targets.merge_over_light.recall": f"its recall at {_LAST}",
    "targets.merge_over_light.gain": "by which share of it the chosen merge is better",
    "targets.merge_over_light.gain_se": "its standard error over users",
    "targets.merge_over_light.wanted": "by which share it shall be",
    "targets.merge_over_light.reached": "whether it is",
    "findings[].claim": "a sentence of the article",
    "findings[].verdict": "held, unclear or not held, by two standard errors",
    "findings[].figures.<figure>": "what it was held against",
    "findings[].text": "the same in words",
    "environment.<name>": "versions, instruction set, threads",
    "timings.total_s": "the whole run, in seconds",
    "timings.peak_mb": "peak of memory, of both processes together",
    "timings.steps_s.<step>": "each step of this run",
    "timings.costs.<entry>.seconds": "of what is cached: seconds when it was made",
    "timings.costs.<entry>.peak_mb": "peak of the process's memory then",
    "timings.costs.<entry>.cached": "whether it was read and not made",
    "timings.findings[]": "findings that are about costs",
}
"""The keys of the JSON file: ``[]`` is a list, ``<...>`` stands for several names. With one seed,
on one machine and with the same versions, all but ``timings`` is the same in every run."""
