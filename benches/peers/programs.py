"""Running programs within a time, and keeping what they gave."""
import json
import os
import select
import signal
import subprocess
import sys
import time


class Failed(Exception):
    """A part that could not be measured, and why."""


def last_words(text):
    """The message of a program that failed: its line with `error`, else its last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error")] or lines[-1:]
    return errors[0][:300] if errors else "no message"


def stop(process):
    """Ends a process of ours and what it began."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class Peer:
    """A server of lines of JSON, begun when first asked and again after it died."""

    def __init__(self, command, out):
        self.command, self.out, self.process = [str(c) for c in command], out, None

    def ask(self, question, limit):
        if self.process is None or self.process.poll() is not None:
            log = open(self.out / "peer.log", "a")
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True)
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self._line(limit)
        except BrokenPipeError:
            line = ""
        if not line:
            self.end()
            words = (self.out / "peer.log").read_text(errors="replace").strip().splitlines()[-1:]
            raise Failed(f"it ended without an answer: {''.join(words)[:300]} (see peer.log)")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _line(self, limit):
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        if not ready:
            self.end()
            raise Failed(f"no answer within {limit:.0f} s")
        return self.process.stdout.readline()

    def end(self):
        if self.process is not None:
            stop(self.process)
            self.process = None


class Session:
    """The settings, the time that is left, and what was found so far."""

    def __init__(self, args, peer, scratch, write):
        self.bin, self.out, self.device, self.pack = args.bin, args.out, args.device, args.pack
        self.minutes, self.seconds, self.layers_batch = args.minutes, args.seconds, args.layers_batch
        self.images, self.loss_steps = args.images, args.loss_steps
        self.models, self.precisions = args.models.split(","), args.precisions.split(",")
        self.batches = [int(b) for b in args.batches.split(",")]
        self.peer, self.scratch, self._write = peer, scratch, write
        self.begun = time.monotonic()
        self.facts, self.notes, self.drawn = {}, {}, None
        self.results = {"ours": [], "theirs": [], "layers": [], "fed": []}

    def left(self):
        return self.minutes * 60 - (time.monotonic() - self.begun)

    def note(self, name, why):
        """Keeps why a part failed or was left out; parts that fail for the same reason are listed together."""
        why = str(why)
        if why not in self.notes:
            print(f"   {name}: {why}", file=sys.stderr, flush=True)
        self.notes.setdefault(why, []).append(name)

    def time_for(self, seconds, name):
        """Whether so much time is left; else it is noted that `name` was left out."""
        if self.left() >= seconds:
            return True
        self.note(name, "left out for want of time")
        return False

    def part(self, name, work):
        print(f"== {name} ({self.left():.0f} s left)", file=sys.stderr, flush=True)
        try:
            work(self)
        except Exception as error:
            self.note(name, error if isinstance(error, Failed) else f"{type(error).__name__}: {error}")
        self.save()

    def save(self):
        self._write(self)

    def run(self, command, limit, env=None, log=None):
        """Standard output of a program that ends well within `limit` seconds and the time that is left."""
        limit = min(limit, max(self.left(), 5))
        command = [str(part) for part in command]
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                errors="replace", env={**os.environ, **(env or {})}, start_new_session=True)
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from None
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            stop(process)
            out, err = process.communicate()
            err += f"\nerror: not done within {limit:.0f} s"
        if log:
            (self.out / log).write_text(out + err)
        if process.returncode != 0:
            raise Failed(last_words(err or out))
        return out

    def alexnet(self, *arguments, limit):
        return self.run([self.bin / "alexnet", *arguments], limit)

    def alexnet_json(self, *arguments, limit):
        text = self.alexnet(*arguments, "--json", limit=limit)
        try:
            return json.loads(text)
        except ValueError:
            raise Failed(f"alexnet {arguments[0]} printed no JSON: {text[:100]!r}") from None

    def device_used(self):
        """MiB of the GPU that others use now."""
        try:
            text = self.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], limit=20)
            return int(text.split()[0])
        except (Failed, ValueError, IndexError):
            return None
