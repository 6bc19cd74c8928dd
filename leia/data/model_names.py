"""Is there a model of this name? Asked before anything is loaded: transformers looks for a mistyped folder on the hub,
and for a hub that cannot be reached it looks for minutes."""

import os
from pathlib import Path

from leia.errors import InputError

_SECONDS_TO_WAIT = 10


def check_model_name(name: str) -> None:
    """Raise `InputError` when `name` is neither a folder nor a model that the hub, or the cache of its models, has."""
    if Path(name).is_dir():
        return
    if name.startswith((".", "~", os.sep)) or name.count("/") > 1:
        raise InputError(f"{name}: there is no such folder; expected a model folder or a name on the hub (owner/model)")
    from huggingface_hub import HfApi, is_offline_mode, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        if not is_offline_mode():
            HfApi().model_info(name, timeout=_SECONDS_TO_WAIT)
            return
    except HFValidationError as error:
        raise InputError(f"{name}: there is no such folder, and on the hub no model can have this name") from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{name}: there is no such folder, and the hub has no such model (or shows it only after `hf auth login`)"
        ) from error
    except HfHubHTTPError:
        return  # the hub is there; what it says to a request for a file says more
    except Exception as error:  # of the HTTP client, which is another one in each version of huggingface_hub
        raise InputError(
            f"{name}: there is no such folder, and the hub cannot be reached ({error}); mend the name or the network"
        ) from error
    raise InputError(f"{name}: there is no such folder, and no such model in the cache (HF_HUB_OFFLINE is set)")
