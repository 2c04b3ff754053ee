"""The section of predictions that others have published."""

from typing import Literal

from pydantic import Field

from seqmill.config.base import File, Section


class Published(Section):
    """Predictions that others made for rows of a dataset, judged beside the networks on its test part."""

    dataset: str
    file: File = Field(description="Table with a header: TSV, or CSV if its name says so; plain or gzip.")
    key_column: str = Field(description="Column that holds the name of a row of the dataset.")
    columns: dict[str, str | dict[str, str]] = Field(
        min_length=1, description="Target to its column, or to {track: column} where it has several tracks."
    )
    unknown_keys: Literal["fail", "ignore"] = Field(
        "fail", description="'ignore' for a file with rows that the dataset has dropped, or never had."
    )
    folds: list[str] | None = Field(None, description="Folds whose test part is judged; all if none.")
    source: str = Field("", description="Where the predictions come from, for people.")
