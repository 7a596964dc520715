"""Published archives: fetched once into the cache folder, and checked against their SHA-256."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from eojax.errors import UserError

CONNECT_SECONDS = 10
READ_SECONDS = 60


class Archive(NamedTuple):
    """A file on the web.

    Attributes:
      url: its address.
      num_bytes: its size.
      sha256: its checksum, in hexadecimal digits.
    """

    url: str
    num_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        return self.url.rpartition('/')[2]


def fetch(
    archive: Archive, folder: Path, *, progress: bool = True, option: str = '--config.data.root'
) -> Path:
    """The path of the archive in `folder`; downloaded unless it is there with the right checksum.

    Args:
      archive: what to fetch.
      folder: where to keep it; created if need be.
      progress: show a bar on stderr.
      option: the user's option that names a file that is already there, for messages.

    Raises:
      UserError: no network, an error of the server, a file with another checksum, a full disk.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    advice = (
        f'put {archive.url} ({archive.num_bytes / 1e6:.0f} MB) anywhere and name it by'
        f' {option}=PATH/{archive.file_name}'
    )
    try:
        path = pooch.retrieve(
            archive.url,
            known_hash=f'sha256:{archive.sha256}',
            fname=archive.file_name,
            path=folder,
            downloader=pooch.HTTPDownloader(
                progressbar=progress, chunk_size=2**16, timeout=(CONNECT_SECONDS, READ_SECONDS)
            ),
        )
    except requests.HTTPError as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'{archive.file_name} cannot be downloaded: {reason}; {advice}') from None
    except (requests.ConnectionError, requests.Timeout):
        raise UserError(
            f'{archive.file_name} cannot be downloaded: no connection; {advice}'
        ) from None
    except requests.RequestException as error:
        reason = type(error).__name__
        raise UserError(f'{archive.file_name} cannot be downloaded: {reason}; {advice}') from None
    except ValueError:
        raise UserError(
            f'{archive.url}: what was downloaded is not the published file (its SHA-256 differs);'
            f' try again, or {advice}'
        ) from None
    except OSError as error:
        raise UserError(
            f'{archive.file_name} cannot be kept in {folder} ({error.strerror or error});'
            f' set EOJAX_CACHE to another folder, or {advice}'
        ) from None
    return Path(path)
