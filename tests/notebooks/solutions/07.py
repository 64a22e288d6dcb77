# cell: your-turn-polite
with lab.where_possible():
    command = ["sh", "-c", "trap 'exit @polite.code@' TERM; sleep 600 & wait"]
    polite = lab.engine.containers.run("lab/base", command, detach=True)
    display(lab.check("polite", polite))
# cell: your-turn-reaper
with lab.where_possible():
    reaper = lab.engine.containers.run("lab/base", ["sleep", "@reaper.seconds@"], detach=True, init=True)
    display(lab.check("reaper", reaper))
# cell: your-turn-persistent
with lab.where_possible():
    again = {"Name": "on-failure", "MaximumRetryCount": @persistent.times@}
    command = ["sh", "-c", "exit @persistent.code@"]
    persistent = lab.engine.containers.run("lab/base", command, detach=True, restart_policy=again)
    display(lab.check("persistent", persistent))
