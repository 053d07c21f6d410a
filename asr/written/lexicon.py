"""The words of numbers, units, money and calendars, and how they are written."""

from __future__ import annotations

ONES = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
VALUES = {word: value for value, word in enumerate(ONES + TEENS)} | {word: 20 + 10 * i for i, word in enumerate(TENS)}
ZERO = ("zero", "oh", "o", "nought")
DIGITS = {word: str(value) for value, word in enumerate(ONES)} | {word: "0" for word in ZERO}

ORDINAL_ONES = "zeroth first second third fourth fifth sixth seventh eighth ninth".split()
ORDINAL_TEENS = (
    "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth".split()
)
ORDINALS = {word: value for value, word in enumerate(ORDINAL_ONES + ORDINAL_TEENS)}
ORDINALS |= {word[:-1] + "ieth": value for word, value in VALUES.items() if value >= 20}
ORDINAL_OF = {VALUES[c]: next(o for o, v in ORDINALS.items() if v == VALUES[c]) for c in VALUES}
DECADES = {word[:-1] + "ies": value for word, value in VALUES.items() if value >= 20}
DECADES |= {f"{word}'s": value for word, value in VALUES.items() if value >= 20}
MONTHS = (
    "January February March April May June July August September October November December".split()
)  # as written; said in lower case
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# Written form: all that it may be called. Units of science and of machines are abbreviated.
ABBREVIATED = {
    "kg": "kilogram kilograms kilos kilogramme kilogrammes",
    "g": "gram grams gramme grammes",
    "mg": "milligram milligrams",
    "km": "kilometer kilometers kilometre kilometres",
    "m": "meter meters metre metres",
    "cm": "centimeter centimeters centimetre centimetres",
    "mm": "millimeter millimeters millimetre millimetres",
    "ml": "milliliter milliliters millilitre millilitres",
    "KB": "kilobyte kilobytes",
    "MB": "megabyte megabytes",
    "GB": "gigabyte gigabytes",
    "TB": "terabyte terabytes",
    "Hz": "hertz",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "W": "watt watts",
    "kW": "kilowatt kilowatts",
    "MW": "megawatt megawatts",
    "GW": "gigawatt gigawatts",
    "dB": "decibel decibels",
}
_LONGER = {  # of more than one word
    "kWh": "kilowatt hour, kilowatt hours",
    "mph": "mile per hour, miles per hour, miles an hour, mile an hour",
    "km/h": "kilometers per hour, kilometres per hour, kilometers an hour, kilometres an hour, kilometer per hour",
    "m/s": "meters per second, metres per second, meters a second, metres a second",
    "km²": "square kilometer, square kilometers, square kilometre, square kilometres",
    "m²": "square meter, square meters, square metre, square metres",
    "m³": "cubic meter, cubic meters, cubic metre, cubic metres",
    "°C": "degrees celsius, degree celsius, degrees centigrade, degree centigrade",
    "°F": "degrees fahrenheit, degree fahrenheit",
}
UNITS: dict[str, list[str]] = {short: names.split() for short, names in ABBREVIATED.items()}
UNITS |= {short: names.split(", ") for short, names in _LONGER.items()}
# These keep their names, and their numbers are written in figures even below ten.
NAMED_UNITS = frozenset(
    "miles feet inches yards acres hectares ounces pounds tons tonnes gallons pints degrees calories liters litres"
    " cents pence euros yen rupees pesos bucks volts amps pixels".split()
)
CURRENCIES = {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds"), "¥": ("yen", "yen")}
CENTS = {"$": ("cent", "cents"), "€": ("cent", "cents"), "£": ("pence", "penny", "p")}
PERCENT = ("percent", "per cent")
PUNCTUATION = {  # of addresses
    ".": ("dot", "point", "period"),
    "-": ("dash", "hyphen"),
    "_": ("underscore",),
    "@": ("at",),
    "/": ("slash", "forward slash"),
}
DOMAINS = frozenset("com org net edu gov info io uk de fr ca au us tv fm dev app ai eu".split())
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")

CARDINAL_WORDS = frozenset([*VALUES, "hundred", *SCALES])
NUMBER_WORDS = CARDINAL_WORDS | frozenset(ORDINALS) | frozenset(DECADES) | {"hundredth", "thousandth", "millionth"}
