# How code is compiled that ships with a model: it links with a C compiler, so no exceptions, no run-time type
# information, no guards of local statics; no tables to unwind with. Float operations are not contracted: every architecture
# samples the same token.
set(PQUANT_RUNTIME_OPTIONS -O2 -ffp-contract=off -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-unwind-tables
    -fno-asynchronous-unwind-tables -fno-math-errno -ffunction-sections -fdata-sections -fvisibility=hidden -Wall -Wextra)
