"""The permutations against published vectors, the three functions against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from zktally.verifier.poseidon2 import Domain, compress, keyed, permute, sponge
from zktally.verifier.reader import P

# Default KoalaBear vectors of Plonky3.
VECTORS = {
    16: (
        "894848333 1437655012 1200606629 1690012884 71131202 1749206695 1717947831 120589055 "
        "19776022 42382981 1831865506 724844064 171220207 1299207443 227047920 1783754913",
        "1934285469 604889435 133449501 1026180808 1830659359 176667110 1391183747 351743874 "
        "1238264085 1292768839 2023573270 1201586780 1360691759 1230682461 748270449 651545025",
    ),
    24: (
        "886409618 1327899896 1902407911 591953491 648428576 1844789031 1198336108 355597330 "
        "1799586834 59617783 790334801 1968791836 559272107 31054313 1042221543 474748436 "
        "135686258 263665994 1962340735 1741539604 2026927696 449439011 1131357108 50869465",
        "382801106 82839311 1503190615 1987418517 854076995 1862291425 262755189 1050814217 "
        "722724562 741265943 1026879332 754316749 1966025564 1518878196 502200188 1368172258 "
        "845459257 1711434837 724453836 171032289 655223446 1098636135 407832555 1707498914",
    ),
}


def elements(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, P, shape, dtype=np.uint64)


@pytest.mark.parametrize("width", VECTORS)
def test_published_vectors(width):
    given, expected = ([int(word) for word in text.split()] for text in VECTORS[width])
    assert permute(np.array([given], np.uint64))[0].tolist() == expected


@pytest.mark.parametrize("width", VECTORS)
def test_a_batch_is_its_states_one_by_one_up_to_the_largest_elements(width):
    states = elements(1030, width)
    states[7] = P - 1
    together = permute(states)
    assert (together < P).all()
    for row in (0, 7, 1023, 1024, 1029):
        assert (permute(states[row : row + 1])[0] == together[row]).all()


def test_compression_and_keyed_function_feed_forward():
    x = elements(3, 16)
    mixed = permute(x).astype(object)
    assert (compress(x[:, :8], x[:, 8:]) == (mixed[:, :8] + x[:, :8]) % P).all()
    assert (keyed(x) == (mixed + x) % P).all()


def test_sponge_overwrites_and_pads_with_zeros():
    message = elements(1, 21)
    state = np.zeros((1, 24), np.uint64)
    state[0, 16:19] = 21, int(Domain.LEAF), 5
    state[:, :16] = message[:, :16]
    state = permute(state)
    state[:, :16] = 0
    state[:, :5] = message[:, 16:]
    assert (sponge(Domain.LEAF, 5, message) == permute(state)[:, :8]).all()


def test_no_two_inputs_of_the_sponge_alias():
    zeros = [np.zeros((1, length), np.uint64) for length in (0, 1, 15, 16, 17)]
    digests = {sponge(Domain.LEAF, 0, message).tobytes() for message in zeros}
    digests |= {sponge(domain, 0, zeros[1]).tobytes() for domain in Domain}
    digests |= {sponge(Domain.LEAF, aux, zeros[1]).tobytes() for aux in range(4)}
    assert len(digests) == 5 + (len(Domain) - 1) + 3
