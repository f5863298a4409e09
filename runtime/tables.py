"""Summary tables: a title, and one name and value per row."""


def number(value: float) -> str:
    """Whole numbers unchanged; others with six decimals, or six significant digits if too small or too large."""
    if float(value).is_integer() and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.6f}" if 1e-3 <= abs(value) < 1e9 else f"{value:.6g}"


def print_table(title: str, rows: dict[str, str]) -> None:
    """Print to standard output as plain text without wrapping, so that commands can be copied and lines searched."""
    width = max(len(name) for name in rows)
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:{width}}  {value}")
