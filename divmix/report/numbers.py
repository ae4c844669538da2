"""Numbers for the eye."""


def short(value: float) -> str:
    """Four digits, and no exponent where there are few zeros to write: `87740`, not `8.774e+04`."""
    told = f"{value:.4g}"
    return f"{float(told):.0f}" if "e+0" in told else told
