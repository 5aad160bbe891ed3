-- Finish (section 5 of the protocol): removes an op's intent, and those of these locks that still name the op.
--
-- KEYS  intents, deadlines, then locks
-- ARGV  op
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
for i = 3, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    redis.call('DEL', KEYS[i])
  end
end
return 'OK'
