#!/usr/bin/env bash
# Train one LSTM language model on the data that prepare.sh left in WORK_DIR.
#
#   train.sh WORK_DIR RUN_NAME [fairseq-train flags...]
#
# Everything goes to WORK_DIR/runs/RUN_NAME: checkpoints/, train.log (JSON lines), settings, command, and done at the
# end. Run it again after an interruption and it goes on from the last epoch; a finished run is skipped; a RUN_NAME
# that was used with other settings is refused.
#
# Variables (the default in brackets):
#   PRESET        small, medium or large: 200, 650 or 1500 units, the sizes of Inan et al. (2017) [small]
#   EMBEDDING     conventional, factorized, alone (as published, balanced initial values) or alone_share [conventional]
#   TIE           none or decoder: whether input and output embedding are one (RE) [none]
#   AUGMENTED_LOSS  gamma, the weight of the augmented loss (AL); 0 = plain cross-entropy [0]
#   TEMPERATURE   tau of the augmented loss [10]
#   INTER_DIM     D_inter of ALONE [small 512, medium 1024, large 2048]
#   SHARE         size of the embedding with alone_share, the table's = 1 [0.5]
#   FACTORIZED_DIM  d of the factorized embedding [small 50, medium 160, large 375]
#   MAX_EPOCH     epochs; the learning rate falls to zero over them [small 6, medium 40, large 60]
#   SEED          seed of the initial weights and of the batch order [1]
#   CPU           1 = use no GPU [1 if torch sees none]
#   PYTHON        the Python that has fairseq_alone [python]
#   QUIET         1 = training messages go to train.log only [0]
#   DRY_RUN       1 = print the command, do nothing [0]
#
# All presets: 2 layers, variational dropout, batches of 20 sequences of 70 words, Adam, a learning rate that falls
# linearly. fairseq's task starts each sequence with an empty state; the papers carry the state from one to the next.
#
# Hardware, time, expected numbers:
#   small   a CPU. Four epochs of the Penn Treebank took 20 to 33 minutes a model on one core of a busy machine (AMD
#           EPYC). Times and perplexities of all models: README.md.
#   medium, large   written down for a GPU and not run here.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/script.sh"

[[ $# -ge 2 ]] || refuse "usage: train.sh WORK_DIR RUN_NAME [fairseq-train flags...]"
work=$1 run_name=$2
shift 2
extra_flags=("$@")

[[ $run_name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
  refuse "RUN_NAME may have letters, digits, '.', '_' and '-' and starts with a letter or digit, got '$run_name'"
find_package
[[ -d $work/data-bin ]] || refuse "$work/data-bin is missing; run prepare.sh first"
work=$(cd "$work" && pwd)
for flag in "${extra_flags[@]}"; do
  case ${flag%%=*} in
    --arch | -a | --tie-embeddings | --share-decoder-input-output-embed | --criterion | --seed | --max-epoch | --cpu)
      refuse "${flag%%=*} follows from the variables EMBEDDING, TIE, AUGMENTED_LOSS, SEED, MAX_EPOCH and CPU" ;;
    --tokens-per-sample | --batch-size | --max-tokens | --update-freq | --lr-scheduler | --total-num-update)
      refuse "${flag%%=*} is fixed by the preset: the steps of the learning rate are counted from it" ;;
    --save-dir | --log-file | --log-format | --user-dir | --required-batch-size-multiple)
      refuse "${flag%%=*} is fixed by train.sh; the other scripts rely on it" ;;
  esac
done

# ---------------------------------------------------------------- the preset
preset=${PRESET:-small}
# Dropout of the word vectors, between the layers and of the features; then of the hidden state between time steps.
case $preset in
  small) units=200 dropout=0.2 recurrent=0.1 lr=0.004 default_epochs=6 default_inter_dim=512 default_factorized_dim=50 ;;
  medium) units=650 dropout=0.5 recurrent=0.2 lr=0.002 default_epochs=40 default_inter_dim=1024 default_factorized_dim=160 ;;
  large) units=1500 dropout=0.65 recurrent=0.3 lr=0.001 default_epochs=60 default_inter_dim=2048 default_factorized_dim=375 ;;
  *) refuse "PRESET must be small, medium or large, got '$preset'" ;;
esac
steps=70 sequences=20
embedding=${EMBEDDING:-conventional} share=${SHARE:-0.5} tie=${TIE:-none}
augmented_loss=${AUGMENTED_LOSS:-0} temperature=${TEMPERATURE:-10}
inter_dim=${INTER_DIM:-$default_inter_dim} factorized_dim=${FACTORIZED_DIM:-$default_factorized_dim}
epochs=${MAX_EPOCH:-$default_epochs} seed=${SEED:-1}
positive INTER_DIM "$inter_dim"
positive FACTORIZED_DIM "$factorized_dim"
positive MAX_EPOCH "$epochs"
[[ $seed =~ ^[0-9]+$ ]] || refuse "SEED must be a whole number, got '$seed'"
[[ $tie == none || $tie == decoder ]] || refuse "TIE must be none or decoder, got '$tie'"
for name in augmented_loss temperature share; do
  [[ ${!name} =~ ^[0-9]+(\.[0-9]+)?$ ]] || refuse "${name^^} must be a number and not negative, got '${!name}'"
done

size=()
case $embedding in
  conventional) ;;
  alone) size=(--alone-filter real --alone-inter-dim "$inter_dim") ;;
  alone_share) size=(--alone-share "$share") ;;
  factorized) size=(--factorized-dim "$factorized_dim") ;;
  *) refuse "EMBEDDING must be conventional, factorized, alone or alone_share, got '$embedding'" ;;
esac
criterion=(--criterion cross_entropy)
if [[ ! $augmented_loss =~ ^0+(\.0+)?$ ]]; then
  criterion=(--criterion cross_entropy_with_augmented_loss --augmented-loss-weight "$augmented_loss"
    --augmented-loss-temperature "$temperature")
fi

# The learning rate reaches zero at the last update.
tokens=$(sed -n 's/^train: \([0-9]*\) sentences, \([0-9]*\) words$/\1+\2/p' "$work/clean/counts")
[[ -n $tokens ]] || refuse "$work/clean/counts does not say how long the text is; run prepare.sh again"
updates=$((epochs * ((tokens + steps * sequences - 1) / (steps * sequences))))

# ---------------------------------------------------------------- settings: same run or another one?
run=$work/runs/$run_name
settings=$(
  echo "preset=$preset embedding=$embedding ${size[*]}"
  echo "tie=$tie ${criterion[*]}"
  echo "max_epoch=$epochs seed=$seed"
  # What the presets say may change from one version to the next.
  echo "preset_flags=$units units, dropout $dropout and $recurrent, lr $lr, batches of $sequences x $steps"
  echo "data=$(cksum <"$work/prepare.settings")"
  echo "flags=${extra_flags[*]}"
)
refuse_other_settings
if [[ -f $run/done && ${DRY_RUN:-0} != 1 ]]; then
  echo "$run is trained already; nothing to do"
  exit 0
fi

# ---------------------------------------------------------------- the command
device=()
if [[ ${CPU:-0} == 1 ]] || [[ $("$python" -c 'import torch; print(torch.cuda.is_available())') != True ]]; then
  device=(--cpu --num-workers 0)
fi
command=("$python" -m fairseq_cli.train "$work/data-bin" --user-dir "$user_dir" --task language_modeling
  --arch "lstm_lm_${embedding%_share}" "${size[@]}" --tie-embeddings "$tie" "${criterion[@]}"
  --decoder-layers 2 --decoder-embed-dim "$units" --decoder-hidden-size "$units"
  --variational-dropout --dropout "$dropout" --variational-recurrent-dropout "$recurrent"
  --sample-break-mode none --tokens-per-sample "$steps" --batch-size "$sequences"
  # Without this fairseq drops up to 7 sequences of every set.
  --required-batch-size-multiple 1
  --optimizer adam --clip-norm 1.0 --lr "$lr" --lr-scheduler polynomial_decay
  --warmup-updates $((updates / 20)) --total-num-update "$updates" --max-epoch "$epochs" --seed "$seed"
  # By perplexity: the loss has the augmented part in it.
  --best-checkpoint-metric ppl --no-epoch-checkpoints --save-dir "$run/checkpoints"
  --log-format json --log-interval 50 "${device[@]}" "${extra_flags[@]}")
if [[ ${DRY_RUN:-0} == 1 ]]; then
  echo "command:$(printf ' %q' "${command[@]}")"
  exit 0
fi

# ---------------------------------------------------------------- train
mkdir -p "$run/checkpoints"
# The lock goes to the children, too: it lasts as long as any of them.
exec 9>"$run/lock"
flock --nonblock 9 || refuse "another train.sh is training $run now"
forget_results
echo "$settings" >"$run/settings.part" && mv "$run/settings.part" "$run/settings"
printf '%q ' "${command[@]}" >"$run/command" && echo >>"$run/command"
# Not --log-file: fairseq opens that file once more at every epoch, and each line is then written again and again.
if [[ ${QUIET:-0} == 1 ]]; then
  "${command[@]}" >>"$run/train.log" 2>&1
else
  "${command[@]}" 2>&1 | tee -a "$run/train.log"
fi || refuse "the training of $run stopped; see the messages in $run/train.log"
echo "$settings" >"$run/done.part" && mv "$run/done.part" "$run/done"
echo "trained: $run"
