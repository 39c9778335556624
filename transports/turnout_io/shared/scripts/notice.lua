-- Publishes what one process learned of a candidate: a cooldown, an open breaker, a closed one.
--
-- KEYS[1]  a hash: "v" is the version, any other field is candidate|kind -> until|count|process
--          The channel of the same name carries each change as version|candidate|kind|remaining|count|process.
-- ARGV     candidate kind remaining count process most
-- Returns  {version, changed}
--
-- A notice only extends what is known. Only durations leave the store, so clocks need not agree.

local key = KEYS[1]
local field, kind = ARGV[1] .. '|' .. ARGV[2], ARGV[2]
local remaining, count, process = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local most = tonumber(ARGV[6])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function stored(name)
  local value = redis.call('HGET', key, name)
  if not value then return nil end
  local til, number = string.match(value, '^(%d+)|(%d+)|')
  return tonumber(til), tonumber(number)
end

local function version()
  return tonumber(redis.call('HGET', key, 'v') or 0)
end

if kind == 'closed' then
  -- The breaker of this count of openings is closed: a later opening stays.
  local opened = ARGV[1] .. '|opened'
  local _, openings = stored(opened)
  if not openings or openings > count then return {version(), 0} end
  redis.call('HDEL', key, opened)
  remaining = 0
else
  remaining = math.min(remaining, most)
  local til = stored(field)
  if til and til > now + most then til = nil end -- the clock was set back, or somebody else wrote it
  if remaining <= 0 or (til and til >= now + remaining) then return {version(), 0} end
  redis.call('HSET', key, field, string.format('%.0f|%.0f|%s', now + remaining, count, process))
end
local new = redis.call('HINCRBY', key, 'v', 1)
redis.call('PEXPIRE', key, 2 * most)
redis.call('PUBLISH', key, string.format('%.0f|%s|%.0f|%.0f|%s', new, field, remaining, count, process))
return {new, 1}
