#!/usr/bin/env bash
# Train one headline model on the data that prepare.sh left in WORK_DIR: a Transformer that is told how long its output
# shall be (Takase and Okazaki, 2019), with a conventional table or with ALONE embeddings (Takase and Kobayashi, 2020).
#
#   train.sh WORK_DIR RUN_NAME [fairseq-train flags...]
#
# Everything goes to WORK_DIR/runs/RUN_NAME: checkpoints/, train.log (JSON lines), settings, command, and done at the
# end. Run it again after an interruption and it goes on from the last epoch; a finished run is skipped; a RUN_NAME
# that was used with other settings is refused.
#
# Variables (the default in brackets):
#   PRESET            gigaword or small [the one WORK_DIR was prepared with]
#   EMBEDDING         conventional, factorized, alone_share, or as published alone_binary or alone_real; the initial
#                     values are the authors' with gigaword only [alone_share]
#   LENGTH            lrpe, ldpe or none: the length encoding of the decoder [gigaword lrpe, small ldpe]
#   ABSOLUTE          1 = add the ordinary position encoding, the papers' +PE [gigaword 1, small 0]
#   INTER_DIM         D_inter of ALONE; the paper has 512 and 1024 [512]
#   SHARE             size of the embedding with alone_share, the table's = 1 [0.5]
#   FACTORIZED_DIM    d of the factorized embedding [as many parameters as ALONE with INTER_DIM]
#   TIE               all, decoder or none: which embeddings are one [all]
#   AUGMENTED_LOSS    gamma, the weight of the augmented loss, 0 = none [0]
#   MAX_EPOCH         stop after so many epochs, 0 = no limit [gigaword 100, small 10; no limit if MAX_UPDATE is given]
#   MAX_UPDATE        stop after so many updates, 0 = no limit [0]
#   SEED              seed of the initial weights and of the batch order [1]
#   EFFECTIVE_TOKENS  tokens of one update, all workers together [gigaword 229376, small 1024]
#   MAX_TOKENS        the most tokens that fit on one worker at a time [gigaword 3584, small 1024]
#   CPU               1 = use no GPU [1 if torch sees none]
#   WORKERS           processes on this machine [its GPUs; 1 on a CPU]
#   FP16              0 = train in float32 on a GPU, too [1]
#   PYTHON            the Python that has fairseq_alone [python]
#   QUIET             1 = training messages go to train.log only [0]
#   DRY_RUN           1 = print the arithmetic and the command, do nothing [0]
#
# The small preset has ldpe: its headlines end at 59 characters, and a remaining length means the same at lengths that
# no training headline has.
#
# One command for every machine, as in ../wmt_ende/train.sh: a CPU, one GPU, several GPUs, torchrun, srun.
#
# Hardware, time, expected numbers:
#   gigaword  the ALONE paper's section 3.3, on 4 GPUs (3,584 tokens x --update-freq 16 each), not run here.
#   small     3+3 layers, 128 dimensions: 18 minutes on one core. Expected numbers: README.md.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/train.sh"

read_arguments "$@"
for flag in "${extra_flags[@]}"; do
  case ${flag%%=*} in
    --length-encoding) refuse "--length-encoding is set by the variable LENGTH" ;;
    --length-with-absolute) refuse "--length-with-absolute is set by the variable ABSOLUTE" ;;
  esac
done

# Every embedding of a preset shares the flags of the shape and of the training.
case $preset in
  gigaword)
    default_effective_tokens=229376 default_max_tokens=3584 default_max_epoch=100 embed_dim=512 keep=10
    default_length=lrpe default_absolute=1
    # The shape is the architecture's own.
    shape=() training=(--lr 0.001 --warmup-updates 4000 --dropout 0.3 --clip-norm 1.0 --log-interval 100)
    ;;
  small)
    default_effective_tokens=1024 default_max_tokens=1024 default_max_epoch=10 embed_dim=128 keep=5
    default_length=ldpe default_absolute=0
    shape=(--encoder-layers 3 --decoder-layers 3 --encoder-embed-dim 128 --decoder-embed-dim 128
      --encoder-ffn-embed-dim 256 --decoder-ffn-embed-dim 256 --encoder-attention-heads 4 --decoder-attention-heads 4
      # Few epochs: layers that learn fast from the start.
      --encoder-normalize-before --decoder-normalize-before)
    training=(--lr 0.003 --warmup-updates 600 --dropout 0.1 --clip-norm 1.0 --log-interval 50)
    ;;
  *) refuse "PRESET must be gigaword or small, got '$preset'" ;;
esac
default_inter_dim=512 default_max_update=0
arch_conventional=transformer_length_duc arch_alone=transformer_alone_duc arch_factorized=transformer_factorized_duc
read_sizes
choose_embedding
# The authors' dropout inside the embedding network, off after 300 updates, and their initial values.
[[ $embedding != alone_@(binary|real) ]] || training+=(--alone-dropout 0.1 --alone-dropout-until 300)
[[ $preset.$embedding != gigaword.alone_@(binary|real) ]] || training+=(--alone-init published)

length=${LENGTH:-$default_length}
case $length in
  lrpe | ldpe) absolute=${ABSOLUTE:-$default_absolute} ;;
  none) absolute=0 ;;
  *) refuse "LENGTH must be lrpe, ldpe or none, got '$length'" ;;
esac
[[ $absolute == [01] ]] || refuse "ABSOLUTE must be 0 or 1, got '$absolute'"
[[ $length != none || ${ABSOLUTE:-0} == 0 ]] || echo "train.sh: note: ABSOLUTE has no effect with LENGTH=none"
length_flags=(--length-encoding "$length")
((absolute == 0)) || length_flags+=(--length-with-absolute)
recipe_settings=("length=$length" "absolute=$absolute")

train --task headline_generation "${length_flags[@]}"
