"""The tables of gpu.py in Markdown, for ../RESULTS.md."""
import datetime
import json

WAYS = ["eager nchw", "eager nhwc", "graphs nchw", "graphs nhwc", "compile nhwc", "compile graphs nhwc"]
PRECISIONS = ["f32", "tf32", "bf16"]


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows] + [""]


def head(session):
    facts, peer = session.facts, session.facts.get("peer", {})
    device = facts.get("nvidia-smi") or peer.get("device") or "unknown"
    line = [f"{datetime.date.today()}", f"device `{session.device}`", f"(name, driver, memory: {device})"]
    line += [f"{name} {peer[key]}" for key, name in [("torch", "PyTorch"), ("cuda", "CUDA"), ("cudnn", "cuDNN")] if key in peer]
    line += [facts["alexnet"]] if "alexnet" in facts else []
    lines = [", ".join(line) + ".", ""]
    if not session.device.startswith("cuda"):
        lines += ["**A rehearsal, not on a GPU: the figures say nothing about one.**", ""]
    return lines


def conformance(results):
    found = results.get("conformance")
    if not found:
        return ["Conformance: no result.", ""]
    shapes = "full AlexNet shapes" if found["full"] else "small shapes"
    line = f"Conformance ({shapes}): {found['passed']} passed, {len(found['failed'])} failed"
    line += ": " + ", ".join(f"`{name}`" for name in found["failed"]) if found["failed"] else ""
    return [line + ("." if found["whole"] else "; it did not end."), ""]


def speeds(results):
    """A row for each network, precision and batch."""
    ours = {(r["model"], r["precision"], r["batch"]): r for r in results["ours"]}
    theirs = {}
    for row in results["theirs"]:
        theirs.setdefault((row["model"], row["precision"], row["batch"]), {})[row["way"]] = row
    keys = sorted(ours.keys() | theirs.keys(), key=lambda k: (k[0] != "paper", k[0], PRECISIONS.index(k[1]), k[2]))
    if not keys:
        return ["No speeds were measured.", ""]
    rows = []
    for key in keys:
        mine, peers = ours.get(key), theirs.get(key, {})
        best = max(peers.values(), key=lambda r: r["images_per_s"], default=None)
        rate = mine and mine["images_per_s"]
        ratio = rate / best["images_per_s"] if mine and best else None
        rows.append([
            f"`{key[0]}`", key[1], key[2], number(rate), *(number(peers.get(w, {}).get("images_per_s")) for w in WAYS),
            number(ratio, 2), number(mine and mine["device_mib"]), number(best and best["device_mib"]),
        ])
    header = ["network", "precision", "batch", "ours", *WAYS, "ours / best", "ours, MiB", "best, MiB"]
    return [
        "Training on noise that stays on the device, images/s. Memory: ours is what the device has in use beyond what it had "
        "before, the driver's own included; PyTorch's what its allocator reserved.", "", *table(header, rows)]


def fed(results):
    if not results["fed"]:
        return []
    rows = [[
        r["precision"], r["batch"], number(r["images_per_s"]), number(r["synthetic_images_per_s"]),
        number(r["loader_images_per_s"]), r["limit"], f"{100 * r['share']:.0f} %",
    ] for r in results["fed"]]
    header = ["precision", "batch", "images/s", "without loading", "loader alone", "limit", "reached of it"]
    return ["`paper` from a raw pack in the page cache:", "", *table(header, rows)]


def layers(found):
    """One step by layer. The ceilings are the better of ours and PyTorch's."""
    mine, peer = found["ceilings"], found.get("peer_ceilings", {})
    matrix = max(mine["matrix_flops_per_s"], peer.get("matrix_flops_per_s", 0))
    copy = max(mine["copy_bytes_per_s"], peer.get("copy_bytes_per_s", 0))
    rows = []
    for row in found["rows"]:
        by_flops, by_bytes = row["flops"] / matrix, row["bytes"] / copy
        launch = row["bound"] == "launch"
        rows.append([
            row["layer"], row["kernel"], row["calls"], number(row["seconds"] * 1e3, 3),
            number(row["flops"] / row["seconds"] / 1e12, 2) if row["flops"] else "",
            number(row["bytes"] / row["seconds"] / 1e9, 0),
            "launch" if launch else "matrix" if by_flops > by_bytes else "copy",
            "" if launch else f"{100 * max(by_flops, by_bytes) / row['seconds']:.0f} %",
        ])
    in_tera = lambda rates, key: number(rates[key] / 1e12, 2)
    bound = lambda key: in_tera(mine, key) + (f" (PyTorch {in_tera(peer, key)})" if key in peer else "")
    lines = [
        f"`{found['model']}`, {found['precision']}, batch {found['batch']}: a step takes {found['step_s'] * 1e3:.2f} ms, its "
        f"kernels {found['listed_s'] * 1e3:.2f} ms in {found['calls']} calls: gap {100 * found['gap']:.1f} %. Measured bounds: "
        f"matrix product {bound('matrix_flops_per_s')} TFLOP/s, copy {bound('copy_bytes_per_s')} TB/s, launch "
        f"{mine['launch_s'] * 1e6:.0f} us.", ""]
    return lines + table(["layer", "kernel", "calls", "ms", "TFLOP/s", "GB/s", "bound", "of it"], rows)


def losses(results):
    found = results.get("losses")
    if not found:
        return []
    f32, bf16 = found["loss"]["f32"], found["loss"]["bf16"]
    apart = abs(f32 - bf16) / max(f32, bf16)
    where = f"on `{found['pack']}`" if found["pack"] else "on drawn images (no pack of real ones was given)"
    verdict = "within" if apart <= 0.02 else "**not** within"
    return [
        f"`paper`, {found['steps']} steps {where}, from a loss of {found['first']:.3f}: at the end {f32:.4f} in f32 and "
        f"{bf16:.4f} in bf16 (mean of the last 50 steps), {100 * apart:.1f} % apart: {verdict} 2 %.", ""]


def write(session):
    """gpu.md and gpu.json as far as there is something to tell."""
    results = session.results
    lines = head(session) + conformance(results) + speeds(results) + fed(results)
    for found in results["layers"]:
        lines += layers(found)
    lines += losses(results)
    if session.notes:
        lines += ["Failed or left out:", ""]
        lines += [f"- {'; '.join(names)}: {why}" for why, names in session.notes.items()] + [""]
    (session.out / "gpu.md").write_text("\n".join(lines))
    facts = {"facts": session.facts, "notes": session.notes, **results}
    (session.out / "gpu.json").write_text(json.dumps(facts, indent=1))
