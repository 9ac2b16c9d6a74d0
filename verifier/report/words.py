"""Fixed sentences of the report: for readers who know nothing of proofs."""

from __future__ import annotations

from ..facts import CERTIFIED, CONSISTENT, SAMPLED
from ..journal import FAST, HYBRID, MODES, STRICT

STATUSES = {
    CERTIFIED: (
        "Certified",
        "Every calculation on every path from the committed inputs and weights to this output was "
        "checked. Given those inputs and weights, the output is right.",
    ),
    CONSISTENT: (
        "Consistent, not certified",
        "The last calculation, the one that gives this output, was checked in full: the output "
        "fits the values that it was computed from. Those values themselves were only checked by "
        "samples.",
    ),
    SAMPLED: (
        "Sampled only",
        "Even the calculation that gives this output was only checked by samples. Single numbers "
        "of it may be wrong.",
    ),
}
"""What is said of an output, by its status."""

OUTPUTS_HIDDEN = (
    "The receipt does not publish its outputs, but is bound to them: whoever made it can show "
    "those of single steps, and no others than those that it is bound to."
)
"""What is said where they are not published."""

CHOSEN_STEPS = (
    "Whoever showed them may have chosen these steps: what the bound on all steps leaves open may "
    "be in them. Name the steps yourself, once you have the receipt."
)
"""What is said of shown outputs that are not certified."""

KINDS = {
    MODES[FAST]: "fast: checked by samples, which are shown in the clear",
    MODES[HYBRID]: "hybrid: checked by samples, which are hidden in zero-knowledge proofs",
    MODES[STRICT]: "strict: checked in full, in zero-knowledge proofs",
}
"""What each mode is."""

METHODS = {
    MODES[FAST]: "The values that were picked are shown in the receipt, and were recomputed here.",
    MODES[HYBRID]: "The values that were picked are hidden in proofs (zero knowledge): the proofs "
    "show that recomputing them gives the same, and tell nothing else about them.",
    MODES[STRICT]: "All values are hidden in proofs (zero knowledge): the proofs show that each of "
    "them is what the calculation gives, and tell nothing else about them.",
}
"""How values are checked in each mode."""

FOLDED = (
    "These proofs are not in the receipt itself: one proof stands in their place, which shows that "
    "they were checked and found good."
)
"""What is added for a succinct receipt."""

NOT_PROMISED_OF_SAMPLES = (
    "That every single number is right. Samples find errors in bulk: a model that was exchanged, a "
    "batch that was not run, a part of the work that was skipped. A single number that was written "
    "over, with everything after it computed anew, is one wrong calculation among all of them, and "
    "is found only with the small probability that is given below."
)

ATTEMPTS = (
    "Each probability is that of one attempt. Whoever forges on purpose can draw again at little "
    "cost, and hand out the attempt in which nothing was seen: count anything within δ as possibly "
    "wrong."
)
"""What a probability of less than certainty is worth against somebody who tries often."""

NOT_PROMISED = (
    "That the model is good, fair or fit for its purpose. The receipt is about arithmetic: that "
    "these numbers follow from these inputs by this program.",
    "Where the inputs come from, or that they describe something real. What was not named by the "
    "reader was chosen by whoever made the receipt (see “Who fixed what”).",
    "That the integers of the program stand for the model that its maker publishes in floating "
    "point. That is checked apart, with the model file (zktally check-model).",
)

GLOSSARY = {
    "Receipt": "A file that states what was computed, with the evidence for it. Anyone can check "
    "it, again and again, without a network.",
    "Model id": "A digest that stands for a program and its weights. Another model has another id.",
    "Program": "The model as whole-number arithmetic, so that every machine gets the same numbers. "
    "It is part of the receipt.",
    "Step": "One run of the program on one batch.",
    "Item": "One case in a batch: one picture, one row of a table. The last batch may be filled up "
    "with padding, which counts for nothing.",
    "Value": "One number that the program computes (a “gate” in the technical documents).",
    "Multiply-accumulate": "One multiplication whose result is added to a sum: nearly all of the "
    "work of a neural network. δ is counted in them.",
    "Sample": "A value that was picked for checking, by a rule that follows from the complete "
    "statement. Nobody can know the picks before everything is committed.",
    "δ (delta)": "The largest part of the work that can be wrong without the receipt being "
    "refused, but for the probability that the bits give.",
    "Bits": "How hard it is to deceive the check: with n bits, one attempt of a forger succeeds "
    "with probability 1 in 2 to the power of n. 100 bits are beyond all computers.",
    "Certified, consistent, sampled": "How far back the calculation of an output was checked "
    "without a gap: to the committed inputs and weights; only its last step; not in full at all.",
    "Committed": "Fixed by a digest before the check: later changes would be noticed.",
    "Digest, root": "A short fingerprint of data (64 hexadecimal digits here). Two different data "
    "never have the same one in practice.",
    "Zero knowledge": "The proofs tell that a claim is true, and nothing else about the numbers.",
    "Pinned": "Named by the reader beforehand, and compared with the receipt. What is not pinned "
    "was the choice of whoever made it.",
    "Policy": "What the reader demands before accepting a receipt.",
    "Nonce": "A challenge that the reader sent beforehand, so that an old receipt cannot be shown.",
}
"""Words of the report, for a stranger."""
