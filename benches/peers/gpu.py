"""What ../gpu.sh runs: conformance on a GPU, training beside PyTorch, from a pack, by layer, and f32 against bf16."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import drawn
import report
from programs import Failed, Peer, Session

HERE = pathlib.Path(__file__).resolve().parent
# The images of the drawn pack: enough that an epoch is many steps.
DRAWN = 8192
LOSS_STEPS = 300
# Steps whose losses are averaged at the end.
LOSS_TAIL = 50
# Most wanted first: what does not fit the time is left out from the end.
FIRST = [("paper", "bf16"), ("one-weird-trick", "bf16"), ("paper", "f32"), ("one-weird-trick", "f32")]
THEN = [("paper", "tf32"), ("keras", "bf16"), ("one-weird-trick", "tf32"), ("keras", "f32"), ("keras", "tf32")]
WAYS = ["eager nchw", "eager nhwc", "graphs nchw", "graphs nhwc"]
SLOW_WAYS = ["compile nhwc", "compile graphs nhwc"]


def arguments():
    parser = argparse.ArgumentParser(prog="gpu.sh", description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for gpu.md, gpu.json and logs")
    parser.add_argument("--bin", type=pathlib.Path, help="folder of the binaries alexnet and conformance")
    parser.add_argument("--device", default="cuda", help="as alexnet takes it; cpu and wgpu:N rehearse")
    parser.add_argument("--pack", type=pathlib.Path, help="pack of real images, for the loss in f32 and bf16")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=0.5, help="seconds a measurement")
    parser.add_argument("--models", default="paper,one-weird-trick,keras")
    parser.add_argument("--precisions", default="f32,tf32,bf16")
    parser.add_argument("--batches", default="256,1024,128")
    parser.add_argument("--layers-batch", type=int, default=256)
    parser.add_argument("--images", type=int, default=DRAWN, help="images in the drawn pack")
    parser.add_argument("--loss-steps", type=int, default=LOSS_STEPS)
    return parser.parse_args()


def machine(session):
    """The device, its driver, and what versions there are."""
    facts = session.facts
    facts["alexnet"] = session.alexnet("--version", limit=30).strip()
    facts["info"] = session.alexnet("info", limit=60).strip()
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        facts["nvidia-smi"] = session.run(query, limit=30).strip().splitlines()[0]
    except (Failed, IndexError) as error:
        session.note("nvidia-smi", error)
    try:
        facts["peer"] = session.peer.ask({"ask": "versions"}, limit=120)
    except Failed as error:
        session.note("all of PyTorch", error)


def conformance(session):
    """Every kernel against the CPU's in double precision; on CUDA with the paper's full shapes."""
    kind, _, number = session.device.partition(":")
    env = {"ALEXNET_TEST_FULL": "1"} if kind == "cuda" else {}
    if kind == "wgpu" and number:
        env["ALEXNET_TEST_WGPU"] = number
    command = [session.bin / "conformance", f"{kind}::", "--include-ignored"]
    log = session.out / "conformance.log"
    try:
        text = session.run(command, limit=session.minutes * 60 * 0.25, env=env, log=log.name)
    except Failed as error:
        text = log.read_text(errors="replace") if log.exists() else ""
        if "test result" not in text:
            session.note("conformance", error)
    # Not the summary: there is none if it did not end.
    ended = dict(re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED)", text, re.M))
    session.results["conformance"] = {
        "passed": sum(end == "ok" for end in ended.values()), "whole": "test result" in text,
        "failed": sorted(name for name, end in ended.items() if end != "ok"), "full": "ALEXNET_TEST_FULL" in env,
    }


def ours(session, model, precision, batches):
    """Rows of `bench train`; one batch by one where one of them fails."""
    before = session.device_used()
    sizes = ",".join(map(str, batches))
    try:
        rows = session.alexnet_json(
            "bench", "train", model, "--precision", precision, "--device", session.device, "--batch", sizes, "--seconds",
            session.seconds, limit=150)
    except Failed as error:
        if len(batches) == 1:
            session.note(f"ours, {model}, {precision}, batch {batches[0]}", error)
            return []
        return [row for batch in batches for row in ours(session, model, precision, [batch])]
    for row in rows:
        if row["device_mib"] is not None and before is not None:
            row["device_mib"] = max(0, row["device_mib"] - before)
    return rows


def theirs(session, model, precision, batch, way):
    if "peer" not in session.facts:
        return
    name = f"PyTorch, {model}, {precision}, batch {batch}, {way}"
    slow = way in SLOW_WAYS
    if not session.time_for(40 if slow else 8, name):
        return
    ask = {"ask": "train", "model": model, "precision": precision, "way": way, "batch": batch, "seconds": session.seconds}
    try:
        row = session.peer.ask(ask, limit=120 if slow else 60)
        session.results["theirs"].append({**ask, **row})
    except Failed as error:
        session.note(name, error)


def speeds(session, groups):
    """Training on noise that stays on the device, ours and theirs by turns."""
    for model, precision in groups:
        if model not in session.models or precision not in session.precisions:
            continue
        name = f"{model}, {precision}"
        if not session.time_for(30, name):
            continue
        for row in ours(session, model, precision, session.batches):
            session.results["ours"].append({**row, "precision": precision})
        for batch in session.batches:
            for way in WAYS:
                theirs(session, model, precision, batch, way)
        session.save()


def compiled(session):
    """torch.compile takes long to begin with: only where it matters most."""
    for model, precision in FIRST:
        if model in session.models and precision in session.precisions:
            for batch in session.batches[:2 if precision == "bf16" else 1]:
                for way in SLOW_WAYS:
                    theirs(session, model, precision, batch, way)
                session.save()


def layers(session):
    """The by-layer tables, under the better of our and PyTorch's ceilings."""
    for model, precision in [("paper", "bf16"), ("paper", "f32"), ("one-weird-trick", "bf16")]:
        if model not in session.models or precision not in session.precisions:
            continue
        name = f"by layer, {model}, {precision}"
        if not session.time_for(20, name):
            continue
        try:
            found = session.alexnet_json(
                "bench", "layers", model, "--precision", precision, "--device", session.device, "--batch",
                session.layers_batch, "--seconds", 2 * session.seconds, limit=120)
            found["precision"] = precision
        except Failed as error:
            session.note(name, error)
            continue
        session.results["layers"].append(found)
        if "peer" not in session.facts:
            continue
        try:
            found["peer_ceilings"] = session.peer.ask({"ask": "ceilings", "precision": precision}, limit=60)
        except Failed as error:
            session.note(f"PyTorch's ceilings in {precision}", error)


def drawn_pack(session):
    """A raw pack of drawn images, 256 x 256."""
    if session.drawn is None:
        folder = session.scratch / "images"
        drawn.draw(folder, session.images)
        pack = session.scratch / "drawn.pack"
        session.alexnet("pack", folder, pack, limit=120)
        shutil.rmtree(folder)
        session.drawn = pack
    return session.drawn


def from_pack(session):
    """`paper` fed by the loader from a pack in the page cache."""
    pack = drawn_pack(session)
    for precision in [p for p in ("bf16", "f32") if p in session.precisions]:
        for batch in session.batches[:2]:
            name = f"from a pack, {precision}, batch {batch}"
            if not session.time_for(15, name):
                continue
            try:
                rows = session.alexnet_json(
                    "bench", "train", "paper", "--data", pack, "--precision", precision, "--device", session.device,
                    "--batch", batch, "--seconds", 2 * session.seconds, limit=120)
                session.results["fed"].append({**rows[0], "precision": precision})
            except Failed as error:
                session.note(name, error)


def losses(session):
    """The same run in f32 and in bf16. Adam leaves the first plateau at once, which the paper's rule does not."""
    pack = session.pack or drawn_pack(session)
    batch = min(128, session.batches[0])
    found = {"pack": str(session.pack) if session.pack else None, "steps": session.loss_steps, "loss": {}}
    for precision in ("f32", "bf16"):
        if not session.time_for(30, f"loss in {precision}"):
            return
        run = session.scratch / f"loss-{precision}"
        session.alexnet(
            "train", "--data", pack, "--model", "paper", "--out", run, "--steps", session.loss_steps, "--batch", batch,
            "--device", session.device, "--precision", precision, "--set", "optim.kind=adam", "--set",
            "optim.lr=0.0001", "--set", "optim.schedule=constant", limit=180)
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        tail = [line["loss"] for line in lines[-LOSS_TAIL:]]
        found["loss"][precision] = sum(tail) / len(tail)
        found["first"] = lines[0]["loss"]
        shutil.rmtree(run)
    session.results["losses"] = found


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    kind = args.device.partition(":")[0]
    peer = Peer([sys.executable, HERE / "torch_gpu.py", "--device", "cuda" if kind == "cuda" else "cpu"], args.out)
    with tempfile.TemporaryDirectory(prefix="alexnet-gpu-") as scratch:
        session = Session(args, peer, pathlib.Path(scratch), report.write)
        try:
            session.part("machine", machine)
            session.part("conformance", conformance)
            session.part("training", lambda s: speeds(s, FIRST))
            session.part("by layer", layers)
            session.part("torch.compile", compiled)
            session.part("from a pack", from_pack)
            session.part("loss in f32 and bf16", losses)
            session.part("training, the rest", lambda s: speeds(s, THEN))
        finally:
            peer.end()
    print((args.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
