#!/usr/bin/env bash
# Train one translation model on the data that prepare.sh left in WORK_DIR.
#
#   train.sh WORK_DIR RUN_NAME [fairseq-train flags...]
#
# Everything goes to WORK_DIR/runs/RUN_NAME: checkpoints/, train.log (JSON lines), settings, command, and done at the
# end. Run it again after an interruption and it goes on from the last epoch; a finished run is skipped; a RUN_NAME
# that was used with other settings is refused.
#
# Variables (the default in brackets):
#   PRESET            wmt16, small or demo [the one WORK_DIR was prepared with]
#   EMBEDDING         conventional, factorized, alone_binary or alone_real [alone_real]
#   TIE               all, decoder or none: which embeddings are one [all]
#   AUGMENTED_LOSS    gamma, the weight of the augmented loss, 0 = none [0]
#   INTER_DIM         D_inter of ALONE [wmt16 8192, small 2048, demo 256]
#   FACTORIZED_DIM    d of the factorized embedding [as many parameters as ALONE with INTER_DIM]
#   MAX_EPOCH         stop after so many epochs, 0 = no limit [small 15, demo 30; no limit if MAX_UPDATE is given]
#   MAX_UPDATE        stop after so many updates, 0 = no limit [wmt16 100000]
#   SEED              seed of the initial weights and of the batch order [1]
#   EFFECTIVE_TOKENS  tokens of one update, all workers together [wmt16 458752, small 2048, demo 512]
#   MAX_TOKENS        the most tokens that fit on one worker at a time [wmt16 3584, small 2048, demo 512]
#   CPU               1 = use no GPU [1 if torch sees none]
#   WORKERS           processes on this machine [its GPUs; 1 on a CPU]
#   FP16              0 = train in float32 on a GPU, too [1]
#   PYTHON            the Python that has fairseq_alone [python]
#   QUIET             1 = training messages go to train.log only [0]
#   DRY_RUN           1 = print the arithmetic and the command, do nothing [0]
#
# One command for every machine. The effective batch stays the same: the script works out --update-freq.
#   a CPU, one GPU, all GPUs of this machine:  train.sh WORK_DIR RUN_NAME
#   two processes on a CPU:                    WORKERS=2 train.sh WORK_DIR RUN_NAME
#   several machines:                          torchrun --nnodes N --nproc_per_node G ... --no_python train.sh ...
#   SLURM, one task per GPU or per node:       srun train.sh WORK_DIR RUN_NAME
#
# Hardware, time, expected numbers:
#   wmt16  the paper's Table 2, on 4 GPUs, days (not run here). The paper's number for alone_real, INTER_DIM=8192, after
#          evaluate.sh: 27.61 BLEU on newstest2014.
#   small  4+4 layers, 128 dimensions. 15 epochs of 29,000 sentence pairs on a CPU: about an hour (an estimate).
#   demo   2+2 layers, 64 dimensions: 30 epochs take about 2 minutes of one core; BLEU in demo.sh.
set -euo pipefail

refuse() {
  echo "train.sh: error: $1" >&2
  exit 1
}
with_commas() { sed -e ':a' -e 's/\B[0-9]\{3\}\>/,&/' -e 'ta' <<<"$1"; }
positive() { # NAME VALUE
  [[ $2 =~ ^[1-9][0-9]*$ ]] || refuse "$1 must be a positive whole number, got '$2'"
}
not_negative() { # NAME VALUE
  [[ $2 =~ ^(0|[1-9][0-9]*)$ ]] || refuse "$1 must be a whole number, got '$2'"
}

[[ $# -ge 2 ]] || refuse "usage: train.sh WORK_DIR RUN_NAME [fairseq-train flags...]"
work=$1 run_name=$2
shift 2
extra_flags=("$@")
python=${PYTHON:-python}
embedding=${EMBEDDING:-alone_real}
tie=${TIE:-all}
augmented_loss=${AUGMENTED_LOSS:-0}
seed=${SEED:-1}

[[ $run_name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
  refuse "RUN_NAME may have letters, digits, '.', '_' and '-' and starts with a letter or digit, got '$run_name'"
command -v "$python" >/dev/null || refuse "PYTHON=$python is no command; name the Python that has fairseq_alone"
[[ -f $work/prepare.settings ]] || refuse "$work/prepare.settings is missing; run prepare.sh first"
work=$(cd "$work" && pwd)
# The package beside this script serves when it is not installed.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH=$here/../..${PYTHONPATH:+:$PYTHONPATH}
prepared() { sed -n "s/^$1=//p" "$work/prepare.settings"; }
source_lang=$(prepared SOURCE_LANG)
target_lang=$(prepared TARGET_LANG)
prepared_preset=$(prepared PRESET)
preset=${PRESET:-$prepared_preset}
[[ $preset == "$prepared_preset" ]] ||
  refuse "PRESET=$preset, but $work was prepared with PRESET=$prepared_preset; prepare another folder"
dictionary=$work/data-bin/dict.$target_lang.txt
[[ -f $dictionary ]] || refuse "$dictionary is missing; run prepare.sh again"

for flag in "${extra_flags[@]}"; do
  case ${flag%%=*} in
    --update-freq | --max-tokens | --batch-size | --max-sentences)
      refuse "${flag%%=*} follows from the number of workers; set EFFECTIVE_TOKENS and MAX_TOKENS instead" ;;
    --distributed-*) refuse "${flag%%=*} is worked out here; set WORKERS, or start with torchrun or srun" ;;
    --tie-embeddings | --share-all-embeddings | --share-decoder-input-output-embed)
      refuse "${flag%%=*} is set by the variable TIE" ;;
    --criterion) refuse "--criterion follows from the variable AUGMENTED_LOSS" ;;
    --arch | -a) refuse "${flag%%=*} follows from PRESET and EMBEDDING" ;;
    --seed | --max-update | --max-epoch | --cpu | --fp16)
      variable=${flag%%=*} variable=${variable#--} variable=${variable//-/_}
      refuse "${flag%%=*} is set by the variable ${variable^^}" ;;
    --save-dir | --log-file | --log-format | --user-dir | --required-batch-size-multiple)
      refuse "${flag%%=*} is fixed by train.sh; the other scripts rely on it" ;;
  esac
done

# ---------------------------------------------------------------- the preset
# Every embedding of a preset shares the flags of the shape and of the training.
case $preset in
  wmt16)
    # The reference hardware is 4 GPUs x 3,584 tokens x --update-freq 32.
    default_effective_tokens=458752 default_max_tokens=3584 default_inter_dim=8192
    default_max_update=100000 default_max_epoch=0 embed_dim=512 keep=10 arch_suffix=_wmt_en_de
    # No clipping: at this batch size the gradient norm is steady.
    shape=() training=(--lr 0.0015 --warmup-updates 4000 --dropout 0.2 --clip-norm 0.0 --log-interval 100)
    ;;
  small)
    default_effective_tokens=2048 default_max_tokens=2048 default_inter_dim=2048
    default_max_update=0 default_max_epoch=15 embed_dim=128 keep=5 arch_suffix=
    shape=(--encoder-layers 4 --decoder-layers 4 --encoder-embed-dim 128 --decoder-embed-dim 128
      --encoder-ffn-embed-dim 256 --decoder-ffn-embed-dim 256 --encoder-attention-heads 4 --decoder-attention-heads 4)
    # Small batches give noisy gradients: clip them.
    training=(--lr 0.004 --warmup-updates 600 --dropout 0.2 --clip-norm 1.0 --log-interval 50)
    ;;
  demo)
    default_effective_tokens=512 default_max_tokens=512 default_inter_dim=256
    default_max_update=0 default_max_epoch=30 embed_dim=64 keep=3 arch_suffix=
    shape=(--encoder-layers 2 --decoder-layers 2 --encoder-embed-dim 64 --decoder-embed-dim 64
      --encoder-ffn-embed-dim 128 --decoder-ffn-embed-dim 128 --encoder-attention-heads 4 --decoder-attention-heads 4)
    training=(--lr 0.003 --warmup-updates 300 --dropout 0.1 --clip-norm 1.0 --log-interval 50)
    ;;
  *) refuse "PRESET must be wmt16, small or demo, got '$preset'" ;;
esac

effective_tokens=${EFFECTIVE_TOKENS:-$default_effective_tokens}
max_tokens=${MAX_TOKENS:-$default_max_tokens}
inter_dim=${INTER_DIM:-$default_inter_dim}
max_update=${MAX_UPDATE:-$default_max_update}
max_epoch=${MAX_EPOCH:-$([[ -n ${MAX_UPDATE:-} ]] && echo 0 || echo "$default_max_epoch")}
positive EFFECTIVE_TOKENS "$effective_tokens"
positive MAX_TOKENS "$max_tokens"
positive INTER_DIM "$inter_dim"
not_negative MAX_UPDATE "$max_update"
not_negative MAX_EPOCH "$max_epoch"
not_negative SEED "$seed"
((max_update || max_epoch)) || refuse "MAX_UPDATE and MAX_EPOCH are both 0, so the training would never end"

# ---------------------------------------------------------------- the embedding
embedding_flags=() size=
no_effect() { # VARIABLE
  [[ -z ${!1:-} ]] || echo "train.sh: note: $1 has no effect with EMBEDDING=$embedding"
}
[[ $embedding == factorized ]] || no_effect FACTORIZED_DIM
[[ $embedding != conventional ]] || no_effect INTER_DIM
case $embedding in
  conventional) arch=transformer_conventional$arch_suffix ;;
  alone_binary | alone_real)
    arch=transformer_alone$arch_suffix
    embedding_flags=(--alone-filter "${embedding#alone_}" --alone-inter-dim "$inter_dim")
    size=inter_dim=$inter_dim
    ;;
  factorized)
    arch=transformer_factorized$arch_suffix
    if [[ -n ${FACTORIZED_DIM:-} ]]; then
      factorized_dim=$FACTORIZED_DIM
    else
      # ALONE has D_o + D_inter x (D_o + D_e) parameters with D_o = D_e, the factorized embedding has d x (V + D_e).
      # fairseq adds 4 special symbols to the dictionary file.
      vocabulary=$(($(wc -l <"$dictionary") + 4))
      alone=$((embed_dim + 2 * embed_dim * inter_dim)) rows=$((vocabulary + embed_dim))
      factorized_dim=$(((alone + rows / 2) / rows))
      ((factorized_dim >= 1)) || factorized_dim=1
      echo "factorized embedding: d = $factorized_dim, so $(with_commas $((factorized_dim * rows))) parameters" \
        "(ALONE with D_inter $inter_dim: $(with_commas "$alone"))"
    fi
    positive FACTORIZED_DIM "$factorized_dim"
    embedding_flags=(--factorized-dim "$factorized_dim")
    size=factorized_dim=$factorized_dim
    ;;
  *) refuse "EMBEDDING must be conventional, factorized, alone_binary or alone_real, got '$embedding'" ;;
esac

case $tie in
  all | decoder | none) ;;
  *) refuse "TIE must be all, decoder or none, got '$tie'" ;;
esac
[[ $augmented_loss =~ ^[0-9]*\.?[0-9]+$ ]] ||
  refuse "AUGMENTED_LOSS must be a number that is not negative, got '$augmented_loss'"
criterion=label_smoothed_cross_entropy criterion_flags=(--label-smoothing 0.1)
if [[ ! $augmented_loss =~ ^[0.]+$ ]]; then
  criterion=label_smoothed_cross_entropy_with_augmented_loss
  criterion_flags+=(--augmented-loss-weight "$augmented_loss")
fi

# ---------------------------------------------------------------- settings: same run or another one?
run=$work/runs/$run_name
settings=$(
  echo "preset=$preset"
  echo "embedding=$embedding"
  [[ -z $size ]] || echo "$size"
  echo "tie=$tie"
  echo "augmented_loss=$augmented_loss"
  echo "seed=$seed"
  echo "effective_tokens=$effective_tokens"
  echo "max_update=$max_update"
  echo "max_epoch=$max_epoch"
  echo "dictionary=$(cksum <"$dictionary")"
  echo "flags=${extra_flags[*]}"
)
if [[ -f $run/settings ]] && ! difference=$(diff "$run/settings" - <<<"$settings"); then
  old=$(sed -n 's/^< //p' <<<"$difference" | paste -sd ' ')
  new=$(sed -n 's/^> //p' <<<"$difference" | paste -sd ' ')
  refuse "$run was trained with other settings (there: ${old:-nothing}; now: ${new:-nothing}); choose another RUN_NAME"
fi
if [[ -f $run/done && ${DRY_RUN:-0} != 1 ]]; then
  echo "$run is trained already; nothing to do"
  exit 0
fi

# ---------------------------------------------------------------- workers
gpus=0
if [[ ${CPU:-0} != 1 ]]; then
  gpus=$("$python" -c 'import torch; print(torch.cuda.device_count())') ||
    refuse "PYTHON=$python cannot import torch; name the Python that has fairseq_alone"
fi
# first_rank: the rank of the first process started here; processes: how many bash starts here (fairseq itself starts
# one process for each GPU when it is not told otherwise).
first_rank=0 processes=1 distributed=()
if [[ -n ${RANK:-} && -n ${WORLD_SIZE:-} && -n ${LOCAL_RANK:-} && -n ${MASTER_ADDR:-} ]]; then
  where="torchrun" workers=$WORLD_SIZE first_rank=$RANK local_rank=$LOCAL_RANK init=env:// spawn=0
elif [[ -n ${SLURM_PROCID:-} && -n ${SLURM_STEP_ID:-} && ${SLURM_STEP_NUM_TASKS:-${SLURM_NTASKS:-1}} -gt 1 ]]; then
  # SLURM_STEP_ID exists only under srun: a batch script that calls train.sh without srun is one process.
  where="SLURM" tasks=${SLURM_STEP_NUM_TASKS:-$SLURM_NTASKS}
  nodes=${SLURM_STEP_NUM_NODES:-${SLURM_NNODES:-1}} local_rank=${SLURM_LOCALID:-0}
  master=${MASTER_ADDR:-}
  if [[ -z $master ]]; then
    node_list=${SLURM_STEP_NODELIST:-${SLURM_JOB_NODELIST:-}}
    master=$(scontrol show hostnames "$node_list" | head -n 1) && [[ -n $master ]] ||
      refuse "scontrol cannot name the first machine of '$node_list'; set MASTER_ADDR to it"
  fi
  init=tcp://$master:${MASTER_PORT:-$((10000 + ${SLURM_JOB_ID:-0} % 50000))}
  if ((tasks == nodes && gpus > 1)); then # one task per machine: fairseq starts a process for each of its GPUs
    workers=$((nodes * gpus)) first_rank=$((SLURM_PROCID * gpus)) spawn=1
  else
    workers=$tasks first_rank=$SLURM_PROCID spawn=0
  fi
else
  where="this machine" local_rank=0 init= spawn=0
  workers=${WORKERS:-$((gpus > 0 ? gpus : 1))}
  positive WORKERS "$workers"
  if ((gpus)); then
    ((workers <= gpus)) || refuse "WORKERS=$workers, but torch sees $gpus GPU(s); set CPU=1 to train without them"
    ((workers == 1)) || spawn=1
  else
    processes=$workers
  fi
  if ((workers > 1)) && [[ ${DRY_RUN:-0} == 1 ]]; then
    init=tcp://localhost:PORT
  elif ((workers > 1)); then
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("localhost", 0)); print(s.getsockname()[1])')
    init=tcp://localhost:$port
  fi
fi
positive "the number of workers" "$workers"

if ((gpus)); then
  device=()
  [[ ${FP16:-1} == 0 ]] || device=(--fp16)
  # With one visible GPU per task, that GPU is number 0 whatever the local rank is.
  device_id=$((local_rank < gpus ? local_rank : 0))
  hardware=GPU
else
  device=(--cpu --num-workers 0) device_id=0 hardware=CPU
  # fairseq's default, torch's own DDP, asks for a GPU.
  ((workers == 1)) || distributed+=(--distributed-backend gloo --ddp-backend legacy_ddp)
fi
if ((workers > 1)); then
  distributed+=(--distributed-world-size "$workers" --distributed-init-method "$init")
  ((spawn)) || distributed+=(--distributed-no-spawn --device-id "$device_id")
else
  distributed+=(--distributed-world-size 1)
fi

# ---------------------------------------------------------------- the arithmetic of the batch
update_freq=$(((effective_tokens + workers * max_tokens - 1) / (workers * max_tokens)))
tokens=$((effective_tokens / (workers * update_freq)))
((tokens >= 256)) || ((max_tokens < 256)) ||
  refuse "$workers workers would get $tokens tokens each; use fewer (WORKERS) or a larger EFFECTIVE_TOKENS"
((tokens >= 1)) || refuse "$workers workers cannot share EFFECTIVE_TOKENS=$effective_tokens"
reached=$((workers * tokens * update_freq))
if ((reached != effective_tokens)); then
  echo "$workers workers do not divide $(with_commas "$effective_tokens") tokens: rounded down to" \
    "$(with_commas "$reached")"
fi
unit=workers
((workers > 1)) || unit=worker
echo "effective batch $(with_commas "$reached") tokens = $workers $unit x $(with_commas "$tokens") tokens" \
  "x update-freq $update_freq ($hardware, $where)"

# ---------------------------------------------------------------- the command
user_dir=$("$python" -m fairseq_alone path) ||
  refuse "PYTHON=$python has no fairseq_alone with all it needs; name the Python it is installed in"
command=("$python" -m fairseq_cli.train "$work/data-bin" --user-dir "$user_dir"
  --task translation --source-lang "$source_lang" --target-lang "$target_lang"
  --arch "$arch" "${shape[@]}" --tie-embeddings "$tie" "${embedding_flags[@]}"
  --criterion "$criterion" "${criterion_flags[@]}"
  --optimizer adam --adam-betas "(0.9, 0.98)" --lr-scheduler inverse_sqrt "${training[@]}"
  --max-tokens "$tokens" --update-freq "$update_freq" --max-update "$max_update" --max-epoch "$max_epoch"
  # Without this fairseq drops up to 7 sentences of every set.
  --required-batch-size-multiple 1
  --seed "$seed" --keep-last-epochs "$keep" --save-dir "$run/checkpoints" --log-format json
  "${device[@]}" "${distributed[@]}" "${extra_flags[@]}")
rank_flags() { # RANK: what differs between the processes
  ((workers == 1)) || echo "--distributed-rank $1"
}
if [[ ${DRY_RUN:-0} == 1 ]]; then
  for ((rank = first_rank; rank < first_rank + processes; rank++)); do
    # shellcheck disable=SC2046
    echo "command:$(printf ' %q' "${command[@]}" $(rank_flags "$rank"))"
  done
  exit 0
fi

# ---------------------------------------------------------------- train
mkdir -p "$run/checkpoints"
if ((first_rank == 0)); then
  # The lock goes to the children, too: it lasts as long as any of them.
  exec 9>"$run/lock"
  flock --nonblock 9 || refuse "another train.sh is training $run now"
  echo "$settings" >"$run/settings.part" && mv "$run/settings.part" "$run/settings"
  printf '%q ' "${command[@]}" >"$run/command" && echo >>"$run/command"
  # Not --log-file: fairseq opens that file once more at every epoch, and each line is then written again and again.
  exec 3>&1 4>&2
  if [[ ${QUIET:-0} == 1 ]]; then
    exec >>"$run/train.log" 2>&1
    tee=
  else
    exec > >(exec tee -a "$run/train.log") 2>&1
    tee=$!
  fi
fi

pids=()
stop_workers() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
}
trap 'stop_workers; exit 143' TERM
trap 'stop_workers; exit 130' INT
for ((rank = first_rank; rank < first_rank + processes; rank++)); do
  # shellcheck disable=SC2046
  "${command[@]}" $(rank_flags "$rank") &
  pids+=($!)
done
# If one worker fails, the others would wait for it forever: stop them. (wait -n would do, but in some versions of bash
# it returns for tee as well.)
status=0
while ((processes > 1 && status == 0 && ${#pids[@]})); do
  for i in "${!pids[@]}"; do
    if ! kill -0 "${pids[i]}" 2>/dev/null; then
      wait "${pids[i]}" || { status=$? && stop_workers && break; }
      unset "pids[i]"
    fi
  done
  sleep 0.2
done
for pid in "${pids[@]}"; do
  wait "$pid" || { worker_status=$? && ((status)) || status=$worker_status; }
done

if ((first_rank == 0)); then
  exec 1>&3 2>&4
  # So that nothing of the log is missing when the next command reads it.
  [[ -z $tee ]] || wait "$tee" || true
fi
((status == 0)) || refuse "the training of $run stopped with status $status; see the messages in $run/train.log"
if ((first_rank == 0)); then
  echo "$settings" >"$run/done.part" && mv "$run/done.part" "$run/done"
  echo "trained: $run"
fi
