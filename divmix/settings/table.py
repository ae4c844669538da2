"""Which columns of a table enter a fit, and how they are prepared."""

from dataclasses import dataclass
from typing import ClassVar

from divmix.errors import UsageError
from divmix.settings.option import Settings, option


@dataclass(frozen=True, kw_only=True)
class TableSettings(Settings):
    """Which columns of a table enter the fit, and how they are prepared."""

    may_model: ClassVar[bool] = True  # whether missing may be "model"

    columns: tuple[str, ...] | None = option(
        None,
        section="Columns",
        metavar="A,B",
        help="Columns to fit, whatever they hold, separated by commas. Default: all but ids, codes, "
        "dates and free text; divmix sniff tells which.",
    )
    exclude: tuple[str, ...] = option(
        (), section="Columns", metavar="A,B", help="Columns to leave out, such as an id."
    )
    truth: str | None = option(
        None,
        section="Columns",
        metavar="COL",
        help="Column with known classes: kept out; fit compares its clusters with them.",
    )
    weight: str | None = option(
        None,
        section="Columns",
        metavar="COL",
        help="Column with the weight of each row; an integer weight equals a repeated row.",
    )
    categorical: tuple[str, ...] = option(
        (),
        section="Columns",
        metavar="A,B",
        help="Number columns that are codes of categories. Text columns are categories anyway.",
    )
    scale: str = option(
        "standard",
        section="Columns",
        choices=("standard", "robust", "minmax", "none"),
        help="How columns are brought to one scale: by standard deviation, by quartiles, by range.",
    )
    log: tuple[str, ...] = option(
        (),
        section="Columns",
        metavar="A,B",
        help="Columns to take log(1 + x) of; 'auto' picks non-negative ones with a heavy tail.",
    )
    missing: str = option(
        "error",
        section="Columns",
        choices=("error", "model", "drop", "mean", "median"),
        help="Empty cells: refuse the table, take the likelihood of the cells that are there "
        "(model), drop the row, or put the column's mean or median there.",
    )
    max_categories: int = option(
        100,
        section="Columns",
        at_least=2,
        help="A text column with more categories than this is left out, or refused where it is asked "
        "for.",
    )
    header: bool = option(
        True, section="Columns", help="Whether the first line of a CSV file holds column names."
    )
    encoding: str | None = option(
        None,
        section="Columns",
        metavar="NAME",
        help="Encoding of text tables, such as latin-1 or utf-16. Default: utf-8, or utf-16 where "
        "the file's first bytes say so.",
    )
    dates: str = option(
        "ignore",
        section="Columns",
        choices=("ignore", "numeric", "parts"),
        help="Columns of dates: leave them out, take days since 1970, or year, month, day, weekday "
        "and hour as columns of numbers.",
    )
    encoder: str | None = option(
        None,
        section="Encoder",
        metavar="CHAIN",
        help="Embed the rows first: deskew, pca:E, spectral:E, umap:E, autoencoder:E or "
        "joint:E (an autoencoder trained along with the mixture) for E features, several with "
        "commas between, or images for deskew,pca:50,spectral:15; pca alone keeps the components that "
        "stand out of noise. Pictures: autoencoder:E:conv "
        "convolves, :moved trains on pictures moved a little. "
        "Densities are then those of the embedding.",
    )
    image: str | None = option(
        None,
        section="Encoder",
        metavar="HxW",
        help="The columns are the pixels of pictures, row by row, such as 28x28.",
    )
    device: str = option(
        "cpu",
        section="Encoder",
        choices=("cpu", "cuda", "auto"),
        help="Where an autoencoder is trained.",
    )

    def image_size(self, columns: int) -> tuple[int, int] | None:
        """Height and width of the pictures in so many columns. Raises UsageError."""
        if self.image is None:
            return None
        height, _, width = self.image.lower().partition("x")
        if not (height.isdecimal() and width.isdecimal()):
            raise UsageError(
                f"--image {self.image} is not a size such as 28x28",
                hint="height x width, in pixels",
            )
        if int(height) * int(width) != columns:
            raise UsageError(
                f"--image {self.image} has {int(height) * int(width):,} pixels, the table "
                f"{columns:,} columns to fit",
                hint="choose the pixel columns with --columns, --exclude or --truth",
            )
        return int(height), int(width)
