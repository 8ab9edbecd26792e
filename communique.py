"""The `communique` command: mounts the commands of the folders.

Each command's module is imported only when the command runs, so that `classify` starts without torch.
"""

import importlib
import sys

import click

from model.errors import CommuniqueError, MissingExtraError

_COMMANDS = {
    "classify": ("serving.cli", "classify_command", "Stance labels for sentences given as arguments or on stdin."),
    "score": ("serving.archive.cli", "score_command", "Score files, folders and archives."),
    "summarize": ("serving.archive.cli", "summarize_command", "What a scored archive says."),
    "serve": ("serving.cli", "serve_command", "Answer over HTTP."),
    "key": ("serving.cli", "key_command", "Make an API key for the service."),
    "train": ("training.cli", "train_command", "Fine-tune the encoder on the annotations."),
    "teach": ("training.cli", "teach_command", "Ask large models about sentences, for `train` to learn from."),
    "average": ("training.cli", "average_command", "Make one model of several by averaging their weights."),
    "evaluate": ("evaluation.cli", "evaluate_command", "Measure a model beside the baselines."),
    "report": ("evaluation.cli", "report_command", "Gather the whole evidence on a model: JSON, HTML, model card."),
    "compare": ("evaluation.cli", "compare_command", "Say whether one model is better than another."),
    "spread": ("evaluation.cli", "spread_command", "Mean and spread of the figures over several models."),
    "promote": ("training.registry.cli", "promote_command", "Make a model answer, if it passes its gates."),
    "rollback": ("training.registry.cli", "rollback_command", "Let the model before it answer again."),
    "registry": ("training.registry.cli", "registry_group", "Keep, list, push, pull and sign models."),
    "suggest": ("training.annotations.cli", "suggest_command", "Propose sentences of an archive to annotate."),
    "annotations": ("training.annotations.cli", "annotations_group", "Check, count, exchange and add annotations."),
}
_EXTRA_OF = {"training": "train", "evaluation": "train"}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in _COMMANDS.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            package = module.partition(".")[0]
            if package not in _EXTRA_OF or (error.name or "").partition(".")[0] == package:
                raise
            raise MissingExtraError(_EXTRA_OF[package], str(error.name)) from None
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="communique")
def cli() -> None:
    """Stance labels for sentences: threat, denial, support, hedge, or none of them.

    Results go to stdout, messages to stderr. Exit codes: 0 done, 2 wrong input, 3 a model folder that cannot be
    trusted, 4 a missing optional part, 5 a model that does not pass its gates, 1 any other failure, 130 interrupted.
    """


def main() -> None:
    """Entry point of the console command: errors meant for the user become one line on stderr."""
    try:
        cli(standalone_mode=False)
    except CommuniqueError as error:
        print(f"communique: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("communique: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"communique: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
