"""What a report of costs says beside its numbers."""

from __future__ import annotations

MEASURED = (
    (
        "A cell",
        "is one model, mode, batch, number of steps and δ. Each is measured in a process of its "
        "own, so that its memory is its own. Times are medians of several runs after a warm-up; "
        "what takes 10 s or more is run once, as is the Python verifier.",
    ),
    (
        "Seconds to prove",
        "go from quantised inputs to the finished receipt: integer run, commitment, openings, and "
        "the STARK where the mode has one. The weights are hashed once for a model, before the "
        "clock starts. Of ezkl it is witness and proof; its set-up, once a model, stands apart.",
    ),
    (
        "Memory",
        "is the largest resident size while the receipt is made, with the model and the "
        "libraries: a process that does nothing yet has some 100 to 200 MB.",
    ),
    (
        "float",
        "is onnxruntime on the same inputs and threads. SQNR and agreement compare the integer "
        "program with it, on data that compile held back.",
    ),
    (
        "An exponent",
        "a says that the cost grows about as x to the power of a: least squares in logarithms, "
        "with the number of points and R². Nothing is fitted to fewer than three places. What "
        "every proof costs holds the small end up, so exponents over small models are too low.",
    ),
    (
        "A crossover",
        "is where two measured curves of one machine cross, on logarithmic axes between the two "
        "measurements beside it. Costs within 5 % of each other count as the same. Nothing is "
        "said beyond what was measured.",
    ),
)
"""Terms, and what they mean here."""

LIMITS = (
    "Times are those of the clock, with whatever else the machine did. Compare within one machine; "
    "fits and crossovers never mix machines, thread counts or versions.",
    "Models of different kinds lie on one line against parameters or MACs. What a sampled receipt "
    "costs follows from the width of a layer more than from the number of parameters.",
    "A sampled receipt (fast, hybrid) says that at most δ of the compute is wrong; a strict one "
    "says that nothing is. Their costs stand side by side, what they promise does not.",
    "Random inputs and random weights cost what trained ones cost; their accuracy means little.",
)

NO_PLOTS = (
    "There are no plots: matplotlib is not installed. "
    "pip install 'zktally[plots]', then zktally bench report DIR -o DIR2 draws them."
)
