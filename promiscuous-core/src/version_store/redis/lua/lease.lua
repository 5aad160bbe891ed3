-- Takes a lease that is free, or renews one's own. Answers 1 when it is held by this owner now.
--
-- KEYS  lease
-- ARGV  owner, for how long (ms)
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
