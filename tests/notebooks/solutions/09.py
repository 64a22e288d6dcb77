# cell: your-turn-quota
%lab run -d --name @quota.name@ --cpus @quota.cpus@ lab/base sh -c "while :; do :; done"
lab.check("quota")
# cell: your-turn-fence
%lab run -d --name @fence.name@ --pids-limit @fence.pids@ lab/base sleep 600
%lab exec -d @fence.name@ sh -c "for i in $(seq 60); do sleep 600 & done"
lab.check("fence")
