"""A folder on its way to the model hub: who is logged in, the repository, the files.

What the hub refuses is one line.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leia.base.errors import InputError, UsageError

_AGAIN = "then run the same command again"


def check_repository_name(repo_id: str) -> None:
    """Raise `UsageError` for what cannot be the name of a repository."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
        raise UsageError(f"expected --repo_id owner/name, found {repo_id!r}")


def check_login(repo_id: str) -> None:
    """Ask the hub who is logged in: what fails now would fail after the export, too. Raises `InputError`."""
    from huggingface_hub import HfApi

    with _hub_errors(repo_id):
        HfApi().whoami()


def push_dataset(folder: Path, repo_id: str, private: bool | None) -> str:
    """Make the dataset repository `repo_id` where there is none, and its content that of `folder`; returns its address.

    Parquet files of an earlier push that `folder` lacks are removed there. `private`: of a new repository; None for
    what its owner has as the default. Raises `InputError`.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _hub_errors(repo_id):
        url = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Upload the dataset with LEIA",
            delete_patterns=["data/*.parquet"],
        )
    return str(url)


@contextmanager
def _hub_errors(repo_id: str) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise InputError(f"{repo_id}: nobody is logged in to the hub; `hf auth login`, or set HF_TOKEN") from error
    except OfflineModeIsEnabled as error:
        raise InputError(f"{repo_id}: HF_HUB_OFFLINE is set, so that nothing can be pushed; unset it") from error
    except HFValidationError as error:
        raise UsageError(f"--repo_id {repo_id}: on the hub no dataset can have this name ({error})") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        said = (error.server_message or str(error)).strip().splitlines()[0]
        advice = {
            401: "the token is not valid; `hf auth login`",
            403: "the token may not write there; check the owner, and give the token the right to write",
            404: "there is no such owner; check --repo_id",
        }.get(status, f"see to that, {_AGAIN}")
        raise InputError(f"{repo_id}: the hub refused it ({status}: {said}); {advice}") from error
    except Exception as error:  # of the HTTP client, which is another one in each version of huggingface_hub
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{repo_id}: no answer of the hub that can be used ({said}); check the network, {_AGAIN}"
        ) from error
