"""The market lists of the made-up catalogue: a few dozen, shared by all tracks.

As in the documentation's examples the lists are unsorted, and hold two codes that are not ISO 3166-1: ``XO`` and ``OT``.
``NA`` is Namibia.
"""

from __future__ import annotations

from functools import lru_cache

from etl.sandbox.chance import random_for

_ALWAYS = ("NA", "XO", "OT")
_AFRICAN = (
    "NG GH KE TZ ZA UG RW ZM CM CI SN ET EG MA DZ TN ML BF NE BJ TG GA CG CD AO MZ ZW BW MW SL LR GM GN GW CV ST GQ SS SD SO"
    " DJ ER BI LS SZ MG MU SC KM MR LY CF TD"
).split()
_OTHERS = (
    "AD AE AF AG AI AL AM AQ AR AS AT AU AW AX AZ BA BB BD BE BG BH BL BM BN BO BQ BR BS BT BV BY BZ CA CC CH CK CL CN CO CR"
    " CU CW CX CY CZ DE DK DM DO EC EE EH ES FI FJ FK FM FO FR GB GD GE GF GG GI GL GP GR GS GT GU GY HK HM HN HR HT HU ID IE"
    " IL IM IN IO IQ IR IS IT JE JM JO JP KG KH KI KN KP KR KW KY KZ LA LB LC LI LK LT LU LV MC MD ME MF MH MK MM MN MO MP MQ"
    " MS MT MV MX MY NC NF NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU SA SB SE SG SH SI"
    " SJ SK SM SR SV SX SY TC TF TH TJ TK TL TM TO TR TT TV TW UA UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT"
).split()

_SIZES = (
    *(240, 238, 235, 232, 229, 226, 223, 220, 217, 214, 211, 211, 208, 205, 202, 199, 196, 194),
    *(190, 180, 165, 150, 132, 120, 101, 88, 77, 64, 54, 41, 33, 21, 14, 9, 6, 5),
)
_USUAL = 18


@lru_cache(maxsize=8)
def market_lists(seed: int) -> tuple[str, ...]:
    """Return the comma-separated lists, the long ones that most tracks have first."""
    return tuple(_market_list(seed, index, size) for index, size in enumerate(_SIZES))


def usual(lists: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of `market_lists` that most tracks have."""
    return lists[:_USUAL]


def _market_list(seed: int, index: int, size: int) -> str:
    chance = random_for(seed, "markets", index)
    rest = [*chance.sample(_AFRICAN, len(_AFRICAN)), *chance.sample(_OTHERS, len(_OTHERS))]
    codes = [*_ALWAYS, *rest][:size]
    chance.shuffle(codes)
    return ",".join(codes)
