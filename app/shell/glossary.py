"""The words that need a dictionary, a sentence each: what the page Words lists and labels say on hover."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from app.shell.text import escape
from engine.core.estimators.registry import ESTIMATORS
from engine.intervention.comparison import VERDICT_WORDS

RUNS = {
    "run": "One training, from its first round to its last, as it was recorded in a folder.",
    "round": "The agent collects records with its policy, then one update changes the policy; a run is a list of "
    "rounds.",
    "record": "One step of an environment (state, action, reward, what the critic expected), or one response of a "
    "language model: the unit that influence is about.",
    "rollout buffer": "All records of one round, from which its update learns.",
    "snapshot": "Everything that is needed to repeat a round's update exactly: its records, the policy and the optimizer "
    "before the update, and the order of the minibatches.",
    "checkpoint": "The policy's parameters and the optimizer's state at one moment, before a round's update.",
    "minibatch": "The few records of one step of the optimizer; an update goes through the buffer several times, in "
    "different minibatches each time.",
    "minibatch order": "Which records share a minibatch, and which come first. It is drawn at random, and a "
    "different order leads to a different policy.",
    "theta(k)": "The policy's parameters before the update of round k; theta(k+1) are those after it.",
    "branch": "A run that continues another run after an intervention.",
    "seed": "The number that all chance in a training is drawn from: runs that differ in it alone differ by luck.",
    "commit": "A round as it was written to disk, with a checksum; the letters after the word identify it.",
    "kept": "Whether a record took part in the update; false where a filter dropped it.",
}
METRICS = {
    "return": "The sum of an episode's rewards; on the Timeline, the mean over the training episodes that ended in "
    "the round.",
    "advantage": "How much better an action turned out than the critic expected (A-hat); the update makes actions "
    "with a positive one likelier.",
    "value": "The return that the critic expects from a state on.",
    "critic": "The part of the network that predicts returns; what it says decides which actions count as better "
    "than expected.",
    "TD error": "How much better a single step was than the critic expected: reward + γ × the next state's value − this "
    "state's value.",
    "π(a | s)": "The probability with which the policy takes action a in state s; log π is its logarithm.",
    "ratio": "The probability of a recorded action under the updated policy, divided by that under the policy that "
    "took it.",
    "KL": "Kullback–Leibler divergence, in nats: how differently two policies act; 0 where they act alike. Of a round, the "
    "policies before and after its update; of a language model, the policy and its reference model.",
    "total variation": "How differently two policies act in a state: half the sum of the differences between their action "
    "probabilities, from 0 (alike) to 1 (nothing in common).",
    "clip fraction": "The share of records whose ratio left PPO's clip range, beyond which the objective pushes no further.",
    "entropy": "How undecided the policy is: 0 where it always takes the same action.",
    "explained variance": "The share of the returns' variance that the critic foresees: 1 is all of it, 0 none; "
    "below 0 it misleads.",
    "gradient norm": "The length of the gradient before it is clipped: how hard the loss pulls at the parameters.",
    "loss": "What the optimizer makes smaller: the weighted sum of the policy's, the critic's and the entropy's part.",
    "smoothing": "An exponential moving average over the rounds: the higher its weight, the more the past counts.",
}
INFLUENCE: dict[str, str] = {
    "influence": "How much one record's part in the update moved the target: above 0 it raised the target, below 0 "
    "it lowered it.",
    "target": "The quantity that influence is about: the return by a round's advantages, or how likely an action is.",
    "return target": "Return, by a round's advantages: the mean of advantage × log π over its records. It rises where the policy "
    "does more of what turned out better than expected; it is not the return that the policy reaches.",
    "action target": "log π(a | s): how likely the policy is to take one action in one state, or in several.",
    "sequence target": "For language models: the mean over validation responses of the last token's advantage × log "
    "π(response).",
    "estimator": "A way to compute influence; they differ in how closely they follow the update, and in time.",
    **{name: f"{one.note[:1].upper()}{one.note[1:]}." for name, one in ESTIMATORS.items()},
    "top records": "The records that raised the target most.",
    "bottom records": "The records that lowered the target most.",
    "by term and layer": "Influence split into what went through the actor's, the critic's and the entropy's part of "
    "the loss, and through each layer of the policy.",
    "basket": "The records that you put aside, to retrain without them or with them repaired; kept on disk for each round.",
    "group": "Records under a name that you gave them; for language models, the responses to one prompt.",
}
TRUST = {
    "LDS": "Linear datamodeling score: the rank correlation of what the scores predict with what really happened "
    "when random subsets of the records were removed. 1 is the right order, 0 says nothing.",
    "ceiling": "The highest LDS that can be measured here: replays in few minibatch orders are noisy, so even "
    "perfect scores would not reach 1.",
    "trust": "Whether scores predict what removal does, as measured on this very round; what nobody measured looks "
    "pale.",
    "check": "Really removes random halves of the records in several minibatch orders, and compares what happens "
    "with what the scores predicted.",
    "additivity gap": "The share of the outcomes' variance that no straight line through the predictions explains: what records "
    "do together, rather than each on its own.",
    "null control": "A replay with nothing removed, which must lead to the recorded parameters; where it does not, a check says "
    "nothing.",
    "metasmoothness": "1 where the update responds smoothly to the records' weights, about 0 where derivatives mean nothing.",
    "subsets": "The random sets of records that a check removes.",
    "replay": "A round's update made once more from its files; with nothing removed it must lead to the same "
    "parameters, bit for bit.",
    "replay verified": "The update of the round was repeated from its files and led to the recorded parameters.",
    "interval": "The 95 % confidence interval of a mean: computed so that it contains the true mean in 95 of 100 cases. Where "
    "that of a difference includes 0, chance may explain the difference.",
    "rank correlation": "Whether two lists have the same order (Spearman): 1 is the same, 0 none, −1 the reverse.",
}
REMOVAL: dict[str, str] = {
    "intervention": "A round's update made again without chosen records, or with these repaired, and compared with the "
    "original and with a control.",
    "original": "The update as it was recorded, replayed.",
    "counterfactual": "The update without the chosen records, or with these repaired.",
    "control": "The update without as many records, chosen at random, or with these repaired: any change of the data changes the "
    "policy, and this says how much.",
    "remove": "The update goes without the records.",
    "predicted change": "What the scores say a removal does to the target: the removed records' summed influence with its "
    "sign turned.",
    "actual change": "What a removal did to the target when the update was really replayed without the records: the mean over "
    "minibatch orders.",
    "collected anew": "Training goes on after the removal or repair, and each arm's own policy collects the data; a replay alone "
    "keeps the data as it was.",
    "arm": "One of the ways to make the update that are compared with each other.",
    "mask": "Removal that keeps the minibatches as they were, with the removed records left out.",
    "rebatch": "Removal that fills new minibatches with the records that are left, as the paper trains.",
    "verdict": "Whether the removal or repair made a difference, by the intervals of both differences: helps, hurts or within "
    "noise.",
    **{str(name): f"Verdict: {words}" for name, words in VERDICT_WORDS.items()},
    "repair": "The records stay in the update, with their TD errors r + γ V(s′) − V(s) in the place of their advantages, which "
    "the rewards of many later steps make noisy.",
    "IIF": "The paper's filter, iterative influence-based filtering: it drops a share p of the records with negative "
    "influence before each update.",
    "reestimate": "A filter that repairs the records which IIF would drop.",
    "guarded": "IIF that drops records only as far as the critic, or agreement among episodes, gives reason to "
    "believe the scores.",
}
FAULTS = {
    "incident": "A round worth a look: the return fell by more than its noise, the policy got stuck, numbers are not "
    "finite, records are unlike those before, or a round fails a check of its record.",
    "within noise (fall)": "A fall no larger than the luck of a few episodes explains.",
    "autopsy": "What happened in one update: whether the round is what it claims to be, whether the return really "
    "changed, and what would have prevented a fall.",
    "not real": "Autopsy: on the same starts and the same luck, the policy after the update is not clearly worse "
    "than the one before.",
    "common seeds": "Both policies play the same episodes, with the same starts and the same luck, so that what "
    "differs is the policies' doing.",
    "luck of the order": "Autopsy: with other minibatch orders the fall would mostly not have happened.",
    "luck of the data": "Autopsy: with other episodes, collected by the same policy, the fall would mostly not have "
    "happened.",
    "some of the records": "Autopsy: without the records that the best estimator ranks lowest the fall would mostly not have "
    "happened, and without as many random ones it would.",
    "advantages": "Autopsy: with advantages estimated in another way the fall would mostly not have happened.",
    "size of the step": "Autopsy: with a quarter of the learning rate the fall would mostly not have happened.",
    "unexplained": "Autopsy: the fall is real, and none of the arms that were played prevents it.",
}
BEHAVIOUR = {
    "behaviour": "One state and one action, followed through training: how likely the action was, and which records "
    "made it so.",
    "formation": "Which records made a behaviour, round by round: each group's summed influence as a share of the "
    "round's total.",
    "roughness": "How different the influence of similar records is: 0 where like records pull alike.",
    "phase": "A stretch of training in which a behaviour forms in one way, told apart by the curves of probability "
    "and roughness.",
    "A-bar": "What an action was really worth: the mean return of rollouts that take it, less that of rollouts that "
    "follow the policy.",
    "wrong sign": "An advantage above 0 for an action that was really worth less than average (A-bar), or vice versa.",
    "effect size": "Cliff's delta: 1 where every bottom record has more of something than every other record, −1 "
    "where less, 0 where there is no difference.",
}
MODELS = {
    "sequence": "A prompt with one response: the record of a language model's run.",
    "token": "A piece of text, the unit that a language model reads and writes.",
    "reference model": "The language model before training, which the KL penalty keeps the policy close to.",
    "GRPO": "Group relative policy optimization: a response's advantage is its reward compared with those of the "
    "other responses to the same prompt; there is no critic.",
    "PPO": "Proximal policy optimization: several passes over a round's records, with a limit (the clip range) to "
    "how far the policy moves.",
    "truncated": "Cut off at its greatest length, rather than ended by the model.",
    "no signal": "A sequence whose advantages are all 0: it has no part in the policy's update.",
}
EXPERIMENTS = {
    "campaign": "The same training with several filters and several seeds each, to compare them.",
    "SE_sym": "Sample efficiency, symmetric: how many fewer rounds an arm needs than PPO, over the levels of return "
    "that both reach and all pairs of seeds; PPO against PPO is 0.",
    "SE_ave": "The paper's sample efficiency: per cent fewer rounds than PPO of the same seed, averaged over all "
    "levels of return that PPO reaches. Its zero is not what no effect reads; PPO against another seed of PPO says where that "
    "lies.",
    "SE_peak": "Per cent fewer rounds than PPO until PPO's highest return is reached.",
    "RT_peak": "The same as SE_peak, in training time.",
    "p": "The share of the records with negative influence that a filter drops.",
    "band": "The range around a mean line: over seeds, or the mean's 95 % interval, as the caption says.",
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "Runs and rounds": RUNS,
    "What is measured in a round": METRICS,
    "Influence": INFLUENCE,
    "Whether scores can be trusted": TRUST,
    "Removing records": REMOVAL,
    "When something went wrong": FAULTS,
    "How a behaviour came to be": BEHAVIOUR,
    "Language models": MODELS,
    "Many runs": EXPERIMENTS,
}
"""Heading -> word -> its sentence, plain text."""


@cache
def _sentences() -> dict[str, str]:
    return {word: sentence for words in WORDS.values() for word, sentence in words.items()}


def meaning(word: str) -> str:
    """The sentence of a word, as Markdown.

    Raises:
        KeyError: it has none.

    >>> meaning("bottom records")
    'The records that lowered the target most.'
    """
    return escape(_sentences()[word])


def explained(*words: str) -> str:
    """Several words with their sentences, as a list in Markdown: what a label says on hover.

    >>> print(explained("top records", "bottom records"))
    * **top records**: The records that raised the target most.
    * **bottom records**: The records that lowered the target most.
    """
    return "\n".join(f"* **{escape(word)}**: {meaning(word)}" for word in words)


def anchor(word: str) -> str:
    """Where the page Words has it: `/words#minibatch-order`.

    >>> anchor("minibatch order"), anchor("tracin_adam"), anchor("π(a | s)")
    ('minibatch-order', 'tracin_adam', 'π-a-s')
    """
    return re.sub(r"\W+", "-", word.lower()).strip("-")


def found(text: str) -> dict[str, dict[str, str]]:
    """Headings and their words, those that have a text in their name or sentence; upper and lower case are the same.

    >>> {heading: list(words) for heading, words in found("Datamodeling").items()}
    {'Whether scores can be trusted': ['LDS']}
    """
    looked_for = text.strip().casefold()
    parts = {
        heading: {word: said for word, said in words.items() if looked_for in f"{word} {said}".casefold()}
        for heading, words in WORDS.items()
    }
    return {heading: words for heading, words in parts.items() if words}
