# cell: your-turn-cache
%lab run -d --name @cache.name@ -m @cache.limit@m lab/base sleep 600
%lab exec @cache.name@ dd if=/dev/zero of=/file bs=1M count=200
lab.check("cache")
# cell: your-turn-survivor
%lab run -d --name @survivor.name@ -m @survivor.limit@m --memory-swap @survivor.limit@m lab/python sleep 600
%lab exec @survivor.name@ python3 -c "b'x' * (300 << 20)"
lab.check("survivor")
