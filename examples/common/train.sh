# What the train.sh of every translation recipe shares; source it. The recipe's script calls, in this order:
#
#   read_arguments "$@"     work, run_name, extra_flags, preset, languages, and the variables of the environment
#   (the recipe)            the presets: default_* sizes, embed_dim, keep, shape, training, arch_conventional,
#                           arch_alone, arch_factorized; recipe_settings, lines that tell its runs apart
#   read_sizes              sizes that the environment may override
#   choose_embedding        arch, embedding_flags, criterion
#   train [FLAGS...]        work out the batch, then print the command (DRY_RUN=1) or train

. "$(dirname "${BASH_SOURCE[0]}")/script.sh"

recipe_settings=()

with_commas() { sed -e ':a' -e 's/\B[0-9]\{3\}\>/,&/' -e 'ta' <<<"$1"; }
not_negative() { # NAME VALUE
  [[ $2 =~ ^(0|[1-9][0-9]*)$ ]] || refuse "$1 must be a whole number, got '$2'"
}
no_effect() { # VARIABLE
  [[ -z ${!1:-} ]] || echo "train.sh: note: $1 has no effect with EMBEDDING=$embedding"
}

read_arguments() {
  [[ $# -ge 2 ]] || refuse "usage: train.sh WORK_DIR RUN_NAME [fairseq-train flags...]"
  work=$1 run_name=$2
  shift 2
  extra_flags=("$@")
  embedding=${EMBEDDING:-alone_share}
  tie=${TIE:-all}
  augmented_loss=${AUGMENTED_LOSS:-0}
  seed=${SEED:-1}

  [[ $run_name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
    refuse "RUN_NAME may have letters, digits, '.', '_' and '-' and starts with a letter or digit, got '$run_name'"
  find_package
  enter_prepared "$work"
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
}

read_sizes() {
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
  [[ ${FP16:-1} == [01] ]] || refuse "FP16 must be 0 or 1, got '$FP16'"
  ((max_update || max_epoch)) || refuse "MAX_UPDATE and MAX_EPOCH are both 0, so the training would never end"
}

choose_embedding() {
  embedding_flags=() size=
  [[ $embedding == factorized ]] || no_effect FACTORIZED_DIM
  [[ $embedding == alone_share ]] || no_effect SHARE
  [[ $embedding != conventional && $embedding != alone_share ]] || no_effect INTER_DIM
  case $embedding in
    conventional) arch=$arch_conventional ;;
    alone_binary | alone_real)
      arch=$arch_alone
      embedding_flags=(--alone-filter "${embedding#alone_}" --alone-inter-dim "$inter_dim")
      size=inter_dim=$inter_dim
      ;;
    alone_share)
      share=${SHARE:-0.5}
      [[ $share =~ ^[0-9]*\.?[0-9]+$ ]] || refuse "SHARE must be a number like 0.5, got '$share'"
      arch=$arch_alone
      embedding_flags=(--alone-share "$share")
      size=share=$share
      ;;
    factorized)
      arch=$arch_factorized
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
    *)
      refuse "EMBEDDING must be conventional, factorized, alone_binary, alone_real or alone_share, got '$embedding'"
      ;;
  esac

  choose_loss
}

choose_loss() {
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
}

# Same run or another one?
check_run() {
  run=$work/runs/$run_name
  settings=$(
    echo "preset=$preset"
    echo "embedding=$embedding"
    [[ -z $size ]] || echo "$size"
    echo "tie=$tie"
    echo "augmented_loss=$augmented_loss"
    ((${#recipe_settings[@]} == 0)) || printf '%s\n' "${recipe_settings[@]}"
    echo "seed=$seed"
    echo "effective_tokens=$effective_tokens"
    echo "max_update=$max_update"
    echo "max_epoch=$max_epoch"
    echo "dictionary=$(cksum <"$dictionary")"
    # What the presets say may change from one version to the next.
    echo "preset_flags=${shape[*]} ${training[*]} ${criterion_flags[*]}" | sed 's/ --log-interval [0-9]*//'
    # A CPU trains in float32 anyway.
    [[ ${FP16:-1} == 1 || ${CPU:-0} == 1 ]] || echo "fp16=$FP16"
    echo "flags=${extra_flags[*]}"
  )
  refuse_other_settings
  if [[ -f $run/done && ${DRY_RUN:-0} != 1 ]]; then
    echo "$run is trained already; nothing to do"
    exit 0
  fi
}

find_workers() {
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
}

# The arithmetic of the batch.
divide_batch() {
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
}

rank_flags() { # RANK: what differs between the processes
  ((workers == 1)) || echo "--distributed-rank $1"
}

train() { # the recipe's own flags for fairseq-train
  check_run
  find_workers
  divide_batch
  command=("$python" -m fairseq_cli.train "$work/data-bin" --user-dir "$user_dir"
    --source-lang "$source_lang" --target-lang "$target_lang"
    --arch "$arch" "${shape[@]}" --tie-embeddings "$tie" "${embedding_flags[@]}"
    --criterion "$criterion" "${criterion_flags[@]}"
    --optimizer adam --adam-betas "(0.9, 0.98)" --lr-scheduler inverse_sqrt "${training[@]}" "$@"
    --max-tokens "$tokens" --update-freq "$update_freq" --max-update "$max_update" --max-epoch "$max_epoch"
    # Without this fairseq drops up to 7 sentences of every set.
    --required-batch-size-multiple 1
    --seed "$seed" --keep-last-epochs "$keep" --save-dir "$run/checkpoints" --log-format json
    "${device[@]}" "${distributed[@]}" "${extra_flags[@]}")
  if [[ ${DRY_RUN:-0} == 1 ]]; then
    for ((rank = first_rank; rank < first_rank + processes; rank++)); do
      # shellcheck disable=SC2046
      echo "command:$(printf ' %q' "${command[@]}" $(rank_flags "$rank"))"
    done
    exit 0
  fi
  run_command
}

stop_workers() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
}

run_command() {
  mkdir -p "$run/checkpoints"
  if ((first_rank == 0)); then
    # The lock goes to the children, too: it lasts as long as any of them.
    exec 9>"$run/lock"
    flock --nonblock 9 || refuse "another train.sh is training $run now"
    forget_results
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
  trap 'stop_workers; exit 143' TERM
  trap 'stop_workers; exit 130' INT
  for ((rank = first_rank; rank < first_rank + processes; rank++)); do
    # shellcheck disable=SC2046
    "${command[@]}" $(rank_flags "$rank") &
    pids+=($!)
  done
  # If one worker fails, the others would wait for it forever: stop them. (wait -n would do, but in some versions of
  # bash it returns for tee as well.)
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
}
