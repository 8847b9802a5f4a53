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
#   EMBEDDING         conventional, factorized, alone_share, or as published alone_binary or alone_real; the initial
#                     values are the authors' with wmt16 only [alone_share]
#   TIE               all, decoder or none: which embeddings are one [all]
#   AUGMENTED_LOSS    gamma, the weight of the augmented loss, 0 = none [0]
#   INTER_DIM         D_inter of ALONE [wmt16 8192, small 2048, demo 256]
#   SHARE             size of the embedding with alone_share, the table's = 1 [0.5]
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
#   wmt16  the authors' command for the paper's Table 2, on 4 GPUs, days (not run here). The paper's number for
#          alone_real, INTER_DIM=8192, after evaluate.sh: 27.61 BLEU on newstest2014.
#   small  4+4 layers, 128 dimensions. An epoch of 29,000 sentence pairs takes 2.5 minutes on one core (AMD EPYC).
#   demo   2+2 layers, 64 dimensions: 30 epochs take about 2 minutes of one core; BLEU in demo.sh.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../common/train.sh"

read_arguments "$@"

# Every embedding of a preset shares the flags of the shape and of the training.
case $preset in
  wmt16)
    # The reference hardware is 4 GPUs x 3,584 tokens x --update-freq 32.
    default_effective_tokens=458752 default_max_tokens=3584 default_inter_dim=8192
    default_max_update=100000 default_max_epoch=0 embed_dim=512 keep=10 arch_suffix=_wmt_en_de
    shape=() training=(--lr 0.0015 --warmup-updates 4000 --dropout 0.2 --clip-norm 1.0 --log-interval 100)
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
arch_conventional=transformer_conventional$arch_suffix
arch_alone=transformer_alone$arch_suffix
arch_factorized=transformer_factorized$arch_suffix

read_sizes
choose_embedding
# The authors' initial values, and their dropout inside the embedding network, off after 4,500 updates.
case $preset.$embedding in
  wmt16.alone_binary) training+=(--alone-init published --alone-dropout 0.15 --alone-dropout-until 4500) ;;
  wmt16.alone_real) training+=(--alone-init published --alone-dropout 0.2 --alone-dropout-until 4500) ;;
esac
train --task translation
