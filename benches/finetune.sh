#!/usr/bin/env bash
# Compares fine-tuning with training from the beginning on small tasks, on the CPU.
#
#   finetune.sh IMAGENETTE.tar SIGN-DIGITS.tar FOLDER
#
# IMAGENETTE.tar holds train/WNID/*.JPEG and val/WNID/*.JPEG of ten classes, SIGN-DIGITS.tar a folder of each digit's
# photographs. torchvision's AlexNet for crops of 128 pixels is trained on nine classes; from it begin the runs on 50
# photographs of each digit, and on 50 of the tenth class and of another. FOLDER/results.md is the table for RESULTS.md;
# what FOLDER holds already is not computed again. ALEXNET is the program, target/release/alexnet unless given; SEEDS and
# EPOCHS change the number of runs and their length.
set -euo pipefail
imagenette=$(realpath "$1")
signs=$(realpath "$2")
out=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
alexnet=$(realpath "${ALEXNET:-$root/target/release/alexnet}")
seeds=${SEEDS:-1 2 3}
epochs=${EPOCHS:-10}
tenth=n03888257 # parachute
other=n03445777 # golf ball
mkdir -p "$out"
cd "$out"

# The preset for 128 of 144 pixels: its last maps, 3 x 3, are averaged to the 6 x 6 that fc6 takes.
awk '/^name = "one-weird-trick"/ { $0 = "name = \"one-weird-trick-128\"" }
    /^size = 256/ { $0 = "size = 144" }
    /^crop = 224/ { $0 = "crop = 128" }
    { print }
    /^name = "pool5"/ { pool = 1 }
    pool && /^stride/ { print "\n[[layer]]\nname = \"avgpool\"\nkind = \"adaptive-average-pool\"\noutput = 6"; pool = 0 }
' "$root/layers/models/one-weird-trick.toml" > network.toml

# The first COUNT files of SOURCE, in the order of a hash of their names, to TO; the others to REST, if given.
part() {
    local count=$1 source=$2 to=$3 rest=${4:-}
    mkdir -p "$to" ${rest:+"$rest"}
    local number=0
    while read -r _ name; do
        if [ "$number" -lt "$count" ]; then cp "$source/$name" "$to"; else [ -z "$rest" ] || cp "$source/$name" "$rest"; fi
        number=$((number + 1))
    done < <(cd "$source" && for name in *; do echo "$(echo "$name" | md5sum | cut -c1-32) $name"; done | sort)
}

pack() {
    "$alexnet" pack "$1/train" "$1-train.pack" --size 144 --exif-orientation
    "$alexnet" pack "$1/val" "$1-val.pack" --size 144 --exif-orientation --classes-of "$1-train.pack"
}

if [ ! -e packed ]; then
    mkdir -p nine photos signs two
    tar -xf "$imagenette" -C nine
    tar -xf "$signs" -C photos
    part 50 "nine/train/$tenth" "two/train/$tenth"
    part 50 "nine/train/$other" "two/train/$other"
    part 1000 "nine/val/$tenth" "two/val/$tenth"
    part 1000 "nine/val/$other" "two/val/$other"
    rm -r "nine/train/$tenth" "nine/val/$tenth"
    for digit in 0 1 2 3 4 5 6 7 8 9; do
        part 50 "photos/sign-digits/$digit" "signs/train/$digit" "signs/val/$digit"
    done
    pack nine
    pack two
    pack signs
    rm -r nine two signs photos
    touch packed
fi

# Settings of all runs.
adam=(--set optim.kind=adam --set optim.lr=1e-4 --set optim.weight_decay=0 --set optim.schedule=constant)

if [ ! -e pretrained/done ]; then
    rm -rf pretrained
    "$alexnet" train --data nine-train.pack --val nine-val.pack --model network.toml "${adam[@]}" --batch 64 \
        --epochs "${PRETRAINING_EPOCHS:-8}" --set run.keep_checkpoints=1 --out pretrained 2> pretrained.log
    touch pretrained/done
fi

# Top-1 error on the validation images, and CPU seconds of training.
measure() {
    local task=$1 name=$2 seed=$3
    shift 3
    local run=$task-$name-$seed
    if [ ! -e "$run.json" ]; then
        rm -rf "$run"
        {
            TIMEFORMAT=%U
            time "$alexnet" train --data "$task-train.pack" --model network.toml "${adam[@]}" --batch 25 \
                --epochs "$epochs" --seed "$seed" --out "$run" "$@" 2> "$run.log"
        } 2> "$run.seconds"
        "$alexnet" eval --data "$task-val.pack" --weights "$run" --json > "$run.tmp"
        rm -r "$run"
        mv "$run.tmp" "$run.json"
    fi
}

row() {
    local task=$1 name=$2 title=$3
    local errors=() seconds=()
    for seed in $seeds; do
        errors+=("$(grep -o '"top1_error": *[0-9.e-]*' "$task-$name-$seed.json" | grep -o '[0-9.e-]*$')")
        seconds+=("$(cat "$task-$name-$seed.seconds")")
    done
    printf '%s\n' "${errors[@]}" | awk -v title="$title" -v seconds="${seconds[*]}" '
        { sum += $1; list = list (NR > 1 ? ", " : "") sprintf("%.1f", 100 * $1) }
        END {
            count = split(seconds, all, " ")
            for (i in all) total += all[i]
            printf "| %s | %.1f | %s | %.0f |\n", title, 100 * sum / NR, list, total / count
        }'
}

from=(--weights pretrained)
table() {
    local task=$1
    for seed in $seeds; do
        measure "$task" scratch "$seed"
        measure "$task" tuned "$seed" "${from[@]}"
        measure "$task" decayed "$seed" "${from[@]}" --layer-decay 0.7
        measure "$task" frozen "$seed" "${from[@]}" --freeze 'conv*'
        measure "$task" last "$seed" "${from[@]}" --freeze conv1..fc7
    done
    echo '| run | top-1 error, % | of each seed | CPU seconds |'
    echo '|---|---|---|---|'
    row "$task" scratch 'from the beginning'
    row "$task" tuned 'fine-tuned'
    row "$task" decayed 'fine-tuned, `--layer-decay 0.7`'
    row "$task" frozen "fine-tuned, \`--freeze 'conv*'\`"
    row "$task" last 'fine-tuned, `--freeze conv1..fc7`'
}

{
    echo "Pre-training: $(grep '^epoch' pretrained.log | tail -1)"
    echo
    echo 'Digits, 50 photographs each:'
    echo
    table signs
    echo
    echo 'Two classes, 50 photographs each:'
    echo
    table two
} > results.tmp
mv results.tmp results.md
cat results.md
