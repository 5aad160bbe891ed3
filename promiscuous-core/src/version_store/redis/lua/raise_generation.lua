-- Makes this the stored generation, and this server run the trusted one (section 4 of the protocol): only while the store is as it
-- was when it refused. Otherwise a process that was slow to raise it for one loss would vouch for a store that has had another one.
--
-- KEYS  generation
-- ARGV  generation, server, token of the refusal, server that refused
--
-- Answers 1 when it did.
if ARGV[2] ~= ARGV[4] or redis.call('HGET', KEYS[1], 'refused') ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], 'g', ARGV[1], 'run_id', ARGV[2])
redis.call('HDEL', KEYS[1], 'refused')
return 1
