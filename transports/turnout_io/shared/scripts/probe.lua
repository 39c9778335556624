-- Claims, or gives back, the one probe that the fleet sends to a candidate whose breaker is half-open.
--
-- KEYS[1]  a string: the process that probes
-- ARGV     process milliseconds; 0 milliseconds give the claim back
-- Returns  {claimed, milliseconds until it expires}

local key, process, milliseconds = KEYS[1], ARGV[1], tonumber(ARGV[2])
local owner = redis.call('GET', key)
if milliseconds <= 0 then
  if owner == process then redis.call('DEL', key) end
  return {0, 0}
end
if owner and owner ~= process then return {0, math.max(0, redis.call('PTTL', key))} end
redis.call('SET', key, process, 'PX', milliseconds)
return {1, milliseconds}
