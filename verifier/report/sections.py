"""The parts of the page, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import CERTIFIED, SAMPLED
from ..journal import STRICT
from ..labels import in_words
from ..pins import INPUTS
from ..quoting import quoted, steps_text
from ..values import Values
from ..verified import BEGINS, CHOSEN, PINNED, Verified, counted, percent
from . import shown, words
from .case import Case as Case
from .exposure import SHARES
from .markup import Child, Html, bullets, code, element, facts, joined, table
from .numbers import chance, exact, odds, spoken


def _section(title: str, *children: Child | list[Html]) -> Html:
    return element("section", element("h2", title), *children)


def summary(case: Case, files: str) -> str:
    """The verdict in a few sentences."""
    steps = counted(case.run.steps, "step")
    items = f" on {counted(case.items, 'item')}" if case.itemised else ""
    bound = f"At most {percent(case.run.delta)} of the work can be wrong"
    if case.complete:
        bound = "Every calculation was checked"
    found = [words.STATUSES[status][0].lower() for status in case.statuses]
    outputs = f"; the outputs are {' or '.join(found)}" if found else ""
    outputs += "" if case.publishes else ", and not published"
    return (
        f"{files} {'were' if case.several else 'was'} checked, and found good: {steps} of the "
        f"model {case.first.model_id[:8]}…{items}. {bound} ({case.run.bits} bits){outputs}."
    )


def ran(case: Case) -> Html:
    """What was run."""
    first, labels = case.first, case.first.guarantee.labels
    rows: list[tuple[Child, Child]] = [
        ("Model id", code(first.model_id)),
        ("Program", joined(f"{quoted(first.facts.program_name)}, id ", code(first.program_id))),
        *_kinds(case),
        ("Steps", _steps(case)),
        ("Items", exact(case.items) if case.itemised else None),
        ("Work", f"{exact(case.work)} {case.unit}"),
    ]
    rows += [
        (f"Made for ({name})", in_words(label))
        for name, label in labels.items()
        if label is not None
    ]
    return _section("What was run", facts(rows))


def _kinds(case: Case) -> Iterator[tuple[Child, Child]]:
    for names, each in case.alike(lambda verdict: verdict.facts.mode):
        kind = words.KINDS[each.facts.mode]
        yield "Kind of receipt", f"{names}: {kind}" if names else kind


def _steps(case: Case) -> str:
    steps, first = case.run.steps, case.run.first
    ran = f"{first:,} to {first + steps - 1:,}" if steps > 1 else f"{first:,}"
    return f"{counted(steps, 'step')} (number {ran})" if first or case.several else f"{steps:,}"


def promised(case: Case) -> Html:
    """What is promised, in a paragraph."""
    method = " ".join(_methods(case))
    before = (
        "Whoever made this receipt first committed to every number of the computation, by a "
        "digest that cannot be changed afterwards. "
    )
    if case.complete:
        text = (
            f"{before}Then every value of every step was checked: that it is what the program "
            f"gives for the values before it. {method} If a single one were wrong, the receipt "
            f"would be accepted with a probability of at most {odds(case.run.bits)} for each "
            f"attempt of a forger ({case.run.bits} bits)."
        )
    else:
        checked = sum(each.facts.checked_gates for each in case.run.receipts)
        text = (
            f"{before}Only then was it decided, by a rule that nobody can steer, which values "
            f"would be checked: {exact(checked)} different ones{_among(case)}. {method} It "
            f"follows that either at most {percent(case.run.delta)} of the work is wrong, or a "
            f"forger was lucky, with a probability of at most {odds(case.run.bits)} for each "
            f"attempt ({case.run.bits} bits)."
        )
    return _section("What is promised", element("p", text))


def _methods(case: Case) -> Iterator[str]:
    """How values are checked; where the receipts are of several modes, in which of them."""
    several = len(case.modes) > 1
    for mode in case.modes:
        yield f"In the {mode} receipts: {words.METHODS[mode]}" if several else words.METHODS[mode]
    folded = sum(each.guarantee.folded > 0 for each in case.run.receipts)
    if folded:
        of = "" if folded == len(case.run.receipts) else f"Of {counted(folded, 'receipt')}: "
        yield f"{of}{words.FOLDED}"


def _among(case: Case) -> str:
    """What is certain to be among the values that were checked."""
    if not case.statuses or SAMPLED in case.statuses:
        return ""
    return ", among them all of the calculations that give the outputs"


def not_promised(case: Case) -> Html:
    """What is not."""
    points = [] if case.complete else [words.NOT_PROMISED_OF_SAMPLES]
    return _section("What is not promised", bullets([*points, *words.NOT_PROMISED]))


def delta(case: Case) -> Html:
    """What δ means for these receipts."""
    title = "How much could be wrong"
    if case.complete:
        return _section(
            title,
            element(
                "p",
                f"None of the {exact(case.work)} {case.unit} can be wrong unseen: every value of "
                "every step was checked, and a single wrong one is seen with certainty, but for "
                f"the probability of {odds(case.run.bits)} named above.",
            ),
        )
    return _section(title, *_sampled(case))


def _sampled(case: Case) -> Iterator[Html]:
    wrong = sum(each.most_wrong for each in case.exposures)
    least = min(each.single[0] for each in case.exposures)
    most = max(each.single[1] for each in case.exposures)
    between = " to ".join(dict.fromkeys([chance(least), chance(most)]))
    yield element(
        "p",
        f"The bound is called δ, and is {percent(case.run.delta)} here. Of {exact(case.work)} "
        f"{case.unit}, at most {exact(wrong)} can be wrong without the receipt being refused, but "
        f"for the probability of {odds(case.run.bits)}.",
    )
    yield element(
        "p",
        f"Less can be wrong, and is seen less surely. A single changed value would be seen with a "
        f"probability of {between} in one attempt, depending on where it stands; an output that is "
        "certified or consistent is checked in full. What a wrong part of the work is seen with in "
        "one attempt, at least:",
    )
    yield table(
        f"Probability that a wrong part of all {case.unit} is seen in one attempt",
        ["Wrong part", f"That is, of {spoken(case.work)}", "Seen in one attempt"],
        _shares(case),
    )
    yield element("p", words.ATTEMPTS)
    yield _bounds_of_steps(case)


def layers(case: Case) -> Html | None:
    """What is shown of each calculation of the program."""
    if case.complete:
        return None
    least = " Of several receipts, the least that any of them shows." if case.several else ""
    caption = (
        "The calculations of the program in their order, with the names that its maker gave them: "
        "how many values each gives in all steps, how many of these were checked, with which "
        "probability a single wrong one would be seen in one attempt, and which part of them can "
        f"be wrong unseen but for {odds(case.run.bits)} in one attempt. {words.ATTEMPTS}{least}"
    )
    heads = ["Calculation", "Values", "Checked", "One wrong is seen", "Wrong unseen, at most"]
    return _section("Appendix: calculation by calculation", table(caption, heads, _layers(case)))


def _shares(case: Case) -> Iterator[list[Child]]:
    bounds = {each.delta for each in case.exposures if not each.complete}
    for part in SHARES:
        wrong = [(each, each.delta * part) for each in case.exposures if not each.complete]
        name = percent(float(part * max(bounds))) if len(bounds) == 1 else f"{part} of δ of each"
        yield [
            f"{name}{' (δ)' if part == 1 and len(bounds) == 1 else ''}",
            exact(sum(int(share * each.work) for each, share in wrong)),
            f"all but {odds(case.run.bits)}"
            if part == 1
            else chance(min(each.seen(share) for each, share in wrong)),
        ]


def _layers(case: Case) -> Iterator[list[Child]]:
    for place, (bound, *ops) in enumerate(
        zip(case.first.guarantee.ops, *(each.ops for each in case.exposures), strict=True)
    ):
        bounds = [each.guarantee.ops[place].bound for each in case.run.receipts]
        values = sum(op.values for op in ops)
        if all(op.complete for op in ops):
            yield [quoted(bound.name), f"{values:,}", "all", "100 %", "none"]
            continue
        checked = sum(op.checked for op in ops)
        most = "no bound" if max(bounds) >= 1 else percent(max(bounds))
        yield [
            quoted(bound.name),
            f"{values:,}",
            f"about {round(checked):,}",
            chance(min(op.single for op in ops)),
            most,
        ]


def _bounds_of_steps(case: Case) -> Html:
    each = case.delta_step
    said = (
        "No bound is claimed for single steps"
        if each is None
        else f"In every single step at most {percent(each)} of its work can be wrong"
    )
    op = case.delta_op
    more = (
        "no common bound for single calculations"
        if op is None
        else f"of the values of any single calculation at most {percent(op)}"
    )
    return element("p", f"{said}; {more}. An appendix lists them all.")


def outputs(case: Case) -> Html | None:
    """The outputs: what their status means, and their numbers."""
    if not case.statuses:
        return None
    meanings: list[tuple[Child, Child]] = [words.STATUSES[status] for status in case.statuses]
    parts: list[Html] = [] if case.publishes else [element("p", _not_published(case))]
    for each in case.outputs:
        parts += _values(each, words.STATUSES[each.status][0])
    return _section("The outputs", facts(meanings), *parts)


def _not_published(case: Case) -> str:
    """What is said of outputs that a statement leaves out, and of those that were shown."""
    shown = case.first.shown
    if shown is None:
        return words.OUTPUTS_HIDDEN
    several = "s" if len(shown.steps) > 1 else ""
    chosen = "" if set(case.statuses) <= {CERTIFIED} else f" {words.CHOSEN_STEPS}"
    steps = steps_text(shown.steps)
    return f"{words.OUTPUTS_HIDDEN} Shown here are those of step{several} {steps}.{chosen}"


def inputs(case: Case) -> Html | None:
    """The inputs that the receipts publish."""
    if not case.inputs:
        return None
    about = element(
        "p",
        "The receipt publishes its inputs. They are the committed ones: this was checked. Numbers "
        "are shown as the program reads them, rounded to its steps.",
    )
    parts = [part for each in case.inputs for part in _values(each, "Published")]
    return _section("The inputs", about, *parts)


def _values(values: Values, status: str) -> Iterator[Html]:
    yield element("h3", f"{quoted(values.name)} · {status.lower()}")
    yield from shown.parts(values)


def training(case: Case) -> Html | None:
    """The run that the steps belong to."""
    run = case.first.guarantee.run
    last = case.run.receipts[-1].guarantee.run
    if run is None or last is None:  # receipts of one run have the same program
        return None
    start = BEGINS[run.start]
    rows: list[tuple[Child, Child]] = [
        ("Steps", f"{run.first:,} to {last.end - 1:,}"),
        ("Its beginning", f"{start[0].upper()}{start[1:]}"),
    ]
    if run.records:
        rows += [
            ("Data set", joined("root ", code(run.dataset_root or ""))),
            ("Records", f"{run.records:,}, of which each step reads {run.slots:,}"),
            ("Epochs", f"{counted(last.epochs, 'epoch')} begun"),
        ]
    if run.seed is not None:
        rows.append(("Order and chance", _seed(run.seed, run.has_nonce)))
    if last.exported_root:
        rows.append(("Exported weights", joined("root ", code(last.exported_root))))
    return _section("The training run", facts(rows))


def _seed(seed: str, has_nonce: bool) -> str:
    if seed != "derived":
        return "From a seed that whoever made the receipt chose freely."
    if has_nonce:
        return "From a seed that follows from the program, the data and the reader's own nonce."
    return (
        "From a seed that follows from the program and the data. No nonce of the reader's is in "
        "it, so whoever made these could try many seeds."
    )


def fixed(case: Case) -> Html:
    """Who fixed what: the pins, and the choices of the prover."""
    pins, labels = case.first.guarantee.pins, case.first.guarantee.labels
    named = [PINNED.get(name) or f"the {name} {in_words(labels[name])}" for name in pins.pinned]
    chosen = [CHOSEN[name] for name in case.chosen]
    rows: list[tuple[Child, Child]] = [
        ("The reader named, and the receipt matched", ", ".join(named)),
        ("The maker of the receipt chose", ", ".join(chosen) or "nothing of what goes in"),
        ("Root of the inputs", _roots(case)),
    ]
    notes = []
    if pins.quantised and INPUTS in pins.pinned:
        outside = sum(each.outside for each in pins.saturated)
        notes.append(
            element(
                "p",
                "The inputs were compared as the program reads them: rounded to its steps, and "
                "whatever lies outside of its range as the nearest end of that range. "
                f"{_outside(outside)}",
            )
        )
    return _section("Who fixed what", facts(rows), *notes)


def _outside(count: int) -> str:
    if not count:
        return "No number of these inputs lies outside."
    return f"{count:,} numbers of these inputs lie outside."


def _roots(case: Case) -> Child:
    if not case.first.guarantee.pins.has_inputs:
        return None
    return joined([element("div", code(each.input_root)) for each in case.run.receipts])


def hidden(case: Case) -> Html:
    """What the receipts tell, and what they hide."""
    kinds = case.alike(lambda each: (each.facts.mode, each.guarantee.published))
    parts = []
    for names, each in kinds:
        parts += [element("h3", names)] if names else []
        parts.append(element("p", _hidden(each)))
    return _section("What is hidden", *parts)


def _hidden(verdict: Verified) -> str:
    guarantee, journal = verdict.guarantee, verdict.facts.journal
    if not guarantee.hides:
        return (
            "Nothing that was checked is hidden: the values that were picked, with the weights and "
            "inputs that lead to them, stand in the receipt in the clear."
        )
    tells = ["the statement", *guarantee.published, "the program with its constants"]
    tells += ["which values were picked"] if journal.mode != STRICT else []
    inputs = ["inputs"] if INPUTS not in guarantee.published else []
    records = ["records"] if guarantee.run is not None and guarantee.run.records else []
    outputs = [] if guarantee.outputs_public else ["outputs"]
    held = ", ".join(["weights", *inputs, *records, *outputs])
    return (
        f"Hidden are {held} and intermediate values, also those that were checked. Whoever has "
        f"the receipt learns {', '.join(tells)}, the digests, and sizes."
    )


def glossary(case: Case) -> Html:
    """The words of the page."""
    return _section("Words used", facts(list(words.GLOSSARY.items())))
