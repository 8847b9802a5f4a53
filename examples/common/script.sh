# What all scripts of the recipes share; source it before anything else.
#
#   refuse SENTENCE...                  stop with the script's name and the sentence
#   positive NAME VALUE                 refuse a value that is not a positive whole number
#   find_package                        python: the one that PYTHON names; user_dir: the package, for --user-dir
#   enter_prepared WORK_DIR             work, source_lang, target_lang; then `prepared KEY` is one of its settings
#   enter_run RUN_NAME                  run and its checkpoints, of a run in $work that has at least one
#   choose_checkpoints AVERAGE          chosen: the last AVERAGE of them
#   refuse_other_settings               refuse a $run that was trained with other settings than $settings
#   forget_results                      remove what was made of the checkpoints in $run, before a training goes on there

refuse() {
  echo "${0##*/}: error: $*" >&2
  exit 1
}

positive() {
  [[ $2 =~ ^[1-9][0-9]*$ ]] || refuse "$1 must be a positive whole number, got '$2'"
}

find_package() {
  local root missing
  # The package beside the recipes serves, installed or not.
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
  user_dir=$root/fairseq_alone
  export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
  python=${PYTHON:-python}
  command -v "$python" >/dev/null || refuse "PYTHON=$python is no command; name the Python that has fairseq_alone"
  # The scripts change the folder.
  [[ $python != */* ]] || python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
  export PYTHON=$python
  # Looks for their folders only: importing them takes seconds.
  missing=$("$python" -c 'from importlib.util import find_spec
print(*(name for name in ("torch", "fairseq") if find_spec(name) is None))') || refuse "PYTHON=$python failed"
  [[ -z $missing ]] ||
    refuse "PYTHON=$python has no ${missing// /, no }; name the Python that fairseq_alone is installed in"
}

enter_prepared() {
  [[ -f $1/prepare.settings ]] || refuse "$1/prepare.settings is missing; run prepare.sh first"
  work=$(cd "$1" && pwd)
  source_lang=$(prepared SOURCE_LANG)
  target_lang=$(prepared TARGET_LANG)
}

prepared() {
  sed -n "s/^$1=//p" "$work/prepare.settings"
}

enter_run() {
  run=$work/runs/$1
  checkpoints=$run/checkpoints
  [[ -f $checkpoints/checkpoint_last.pt ]] || refuse "$checkpoints/checkpoint_last.pt is missing; run train.sh first"
  [[ -f $run/done ]] || echo "${0##*/}: the training of $run has not finished; this is the state so far"
}

refuse_other_settings() {
  [[ -f $run/settings ]] || return 0
  local now=$settings difference old new
  # Runs of earlier versions do not say what their preset was.
  grep -q '^preset_flags=' "$run/settings" || now=$(grep -v '^preset_flags=' <<<"$settings")
  difference=$(diff "$run/settings" - <<<"$now") && return 0
  old=$(sed -n 's/^< //p' <<<"$difference" | paste -sd ' ')
  new=$(sed -n 's/^> //p' <<<"$difference" | paste -sd ' ')
  refuse "$run was trained with other settings (there: ${old:-nothing}; now: ${new:-nothing}); choose another RUN_NAME"
}

forget_results() {
  # They must not stand beside the numbers of later checkpoints. A length of headlines counts by its settings.
  rm -f "$run"/{scores.json,evaluate.settings,averaged.pt,generated.txt,headline_scores.{json,md},lengths.png} \
    "$run"/test.hyp.* "$run"/headlines/*.settings
  # Without a checkpoint the training begins anew, so the epochs of an earlier one must not stay in its log.
  if [[ -f $run/train.log && ! -f $run/checkpoints/checkpoint_last.pt ]]; then
    mv --backup=numbered "$run/train.log" "$run/train.log.old"
  fi
}

choose_checkpoints() {
  positive AVERAGE "$1"
  # One checkpoint per epoch: checkpoint12.pt. A training shorter than an epoch has checkpoint_last.pt only.
  mapfile -t chosen < <(find "$checkpoints/" -maxdepth 1 -regex '.*/checkpoint[0-9]+\.pt' | sort -V | tail -n "$1")
  ((${#chosen[@]})) || chosen=("$checkpoints/checkpoint_last.pt")
  ((${#chosen[@]} == $1)) || echo "${0##*/}: averaging ${#chosen[@]} checkpoint(s), because there are not $1"
}
